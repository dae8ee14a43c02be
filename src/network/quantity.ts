/**
 * Returns the value of a Kubernetes resource quantity ("10M", "1.5Gi", "3e6"), rounded up to a whole number; undefined
 * for a malformed one. Grammar: k8s.io/apimachinery, `resource.Quantity`.
 */
export function parseQuantity(text: string): bigint | undefined {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:([eE][+-]?\d{1,3})|(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]))?$/.exec(text);
  if (!match) return undefined;
  const [, sign, whole = '', fraction = '', exponent, suffix] = match;
  if (whole === '' && fraction === '') return undefined;
  // The largest quantity has 19 digits; more digits only cost time.
  if (whole.length + fraction.length > MAX_DIGITS) return undefined;
  const power = (exponent === undefined ? decimalPower(suffix) : Number(exponent.slice(1))) - fraction.length;
  const digits = BigInt(whole + fraction) * binaryFactor(suffix) * 10n ** BigInt(Math.max(power, 0));
  const divisor = 10n ** BigInt(Math.max(-power, 0));
  // Rounds away from zero, also for negative quantities.
  const value = (digits + divisor - 1n) / divisor;
  return sign === '-' ? -value : value;
}

const MAX_DIGITS = 40;

const decimals: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const decimalPower = (suffix: string | undefined): number => decimals[suffix ?? ''] ?? 0;

const binaries = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const binaryFactor = (suffix: string | undefined): bigint => 1024n ** BigInt(binaries.indexOf(suffix ?? '') + 1);
