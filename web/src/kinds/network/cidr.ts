// Addresses and prefixes of both families, as numbers.

/** An address as a number with its width; null where it is none. */
export function address(text: string): { bits: 32 | 128; value: bigint } | null {
  if (/^\d+\.\d+\.\d+\.\d+$/.test(text)) {
    const parts = text.split('.').map(Number);
    return parts.some((part) => part > 255) ? null : { bits: 32, value: parts.reduce((sum, part) => sum * 256n + BigInt(part), 0n) };
  }
  const halves = text.toLowerCase().split('::');
  if (!text.includes(':') || halves.length > 2) {
    return null;
  }
  const words = (half: string) => (half === '' ? [] : half.split(':'));
  const [left, right] = [words(halves[0] ?? ''), words(halves[1] ?? '')];
  const gap = 8 - left.length - right.length;
  if (halves.length === 2 ? gap < 1 : gap !== 0) {
    return null;
  }
  const all = [...left, ...Array.from({ length: gap }, () => '0'), ...right];
  if (all.some((word) => !/^[\da-f]{1,4}$/.test(word))) {
    return null;
  }
  return { bits: 128, value: all.reduce((sum, word) => sum * 65536n + BigInt(`0x${word}`), 0n) };
}

/** Whether a prefix holds an address. One of the other family never does. */
export function holds(prefix: string, ip: string): boolean {
  const [base = '', length] = prefix.split('/');
  const [a, b] = [address(base), address(ip)];
  if (a === null || b === null || a.bits !== b.bits) {
    return false;
  }
  const shift = BigInt(a.bits - Number(length ?? a.bits));
  return a.value >> shift === b.value >> shift;
}
