/** What docker hands on to a plugin, as its command line. */
import { describe, expect, it } from 'vitest';
import { asPlugin, isPlugin } from '../../cli/docker-plugin.ts';

describe('a plugin of docker’s', () => {
  it.each([
    [['/usr/lib/docker/cli-plugins/docker-imgmv', ''], true],
    [['node', '/root/.docker/cli-plugins/docker-imgmv'], true],
    [['node', '/opt/imgmv/dist/imgmv.js'], false],
    [['/opt/docker-imgmv/imgmv', ''], false],
  ])('is one as %j: %s', (argv, is) => {
    expect(isPlugin(argv)).toBe(is);
  });

  it.each([
    ['imgmv send web --to b', 'send web --to b'],
    ['--context far imgmv ls', 'ls --context far'],
    ['--context=far imgmv ls -q', 'ls --context far -q'],
    ['-c far -H tcp://a:1 imgmv ls', 'ls --context far --docker-host tcp://a:1'],
    ['--log-level debug -D imgmv plan web', 'plan web'],
    ['imgmv', ''],
    ['--context far imgmv', ''],
    ['__complete imgmv send w', '__complete send w'],
    ['--tlscacert ca.pem imgmv ls', '--tlscacert'],
  ])('takes %s for %s', (typed, meant) => {
    expect(asPlugin(typed.split(' '), {}).join(' ')).toBe(meant);
  });

  it('reads docker’s configuration where docker does', () => {
    const env = {};
    expect(asPlugin(['--config', '/etc/d', '--tlsverify', 'imgmv', 'ls'], env)).toEqual(['ls']);
    expect(env).toEqual({ DOCKER_CONFIG: '/etc/d', DOCKER_TLS_VERIFY: '1' });
  });
});
