/** Sizes, rates and times as people read them. */
import prettyBytes from 'pretty-bytes';

/** Rate and time left; empty where nothing moves. */
export function paceText(bytesLeft: number, rate: number): string {
  if (rate <= 0) return '';
  return `${perSecond(rate)}, ${etaOf(Math.max(0, bytesLeft) / rate)} left`;
}

/** Nothing for a copy on this host. */
export function onTheWire({ wireBytes }: { readonly wireBytes: number }): string {
  return wireBytes === 0 ? '' : `, ${size(wireBytes)} on the wire`;
}

export function size(bytes: number): string {
  return prettyBytes(Math.round(bytes));
}

export function perSecond(rate: number): string {
  return `${size(rate)}/s`;
}

export function etaOf(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  return whole < 5_400 ? `${Math.round(whole / 60)} min` : `${(whole / 3_600).toFixed(1)} h`;
}
