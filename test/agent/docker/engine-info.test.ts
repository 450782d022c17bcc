import { describe, expect, it } from 'vitest';
import { describeEngine } from '../../../agent/docker/engine-info.ts';

const CONTAINERD = { DriverStatus: [['driver-type', 'io.containerd.snapshotter.v1']] };
const told = (ApiVersion?: string) => ({
  Version: '28.0.0',
  Os: 'linux',
  Arch: 'amd64',
  ...(ApiVersion !== undefined && { ApiVersion }),
});

describe('an engine can push one platform out of an index', () => {
  it.each([
    ['1.45', false],
    ['1.46', true],
    ['1.47', true],
    ['2.0', true],
    ['1.5', false],
    ['1', false],
    ['', false],
    ['1.x', false],
    ['new', false],
    [undefined, false],
  ])('with API version %j: %j', (version, can) => {
    expect(describeEngine(told(version), CONTAINERD).pushesPlatforms).toBe(can);
  });

  it('only with a containerd store', () => {
    expect(describeEngine(told('1.46'), { DriverStatus: [] }).pushesPlatforms).toBe(false);
  });
});
