// Numbers and times as people of the chosen language read them.

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** 1536 → "1.5 KiB". */
export function bytes(n: number, language: string): string {
  let step = 0;
  let value = n;
  while (value >= 1024 && step < units.length - 1) {
    value /= 1024;
    step++;
  }
  return `${number(value, language, value < 10 && step > 0 ? 1 : 0)} ${units[step]}`;
}

/** MiB as compute counts memory: 512 → "512 MiB", 2048 → "2 GiB". */
export const memory = (mib: number, language: string) => bytes(mib * 1024 * 1024, language);

/** GiB as volumes and disks are counted. */
export const gibibytes = (gib: number, language: string) => bytes(gib * 1024 ** 3, language);

export const number = (n: number, language: string, digits = 0) =>
  new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(n);

/** Times of the API have no zone and mean UTC. */
export function instant(time: string): Date {
  return new Date(/(Z|[+-]\d\d:?\d\d)$/.test(time) ? time : `${time}Z`);
}

export const moment = (time: string, language: string) =>
  new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium' }).format(instant(time));

const spans: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** "3 minutes ago", in whole units; less than a minute is "now". */
export function ago(time: string, now: number, language: string): string {
  const seconds = (instant(time).getTime() - now) / 1000;
  const format = new Intl.RelativeTimeFormat(language, { numeric: 'auto' });
  for (const [unit, length] of spans) {
    if (Math.abs(seconds) >= length) {
      return format.format(Math.trunc(seconds / length), unit);
    }
  }
  return format.format(0, 'second');
}

/** How long something has lasted or took: "12 ms", "4 s", "2 min 5 s", "1 h 3 min". */
export function duration(milliseconds: number, language: string): string {
  const seconds = Math.max(0, milliseconds) / 1000;
  const part = (n: number, unit: string, digits = 0) =>
    new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits: digits }).format(n);
  if (milliseconds > 0 && milliseconds < 1000) {
    return part(milliseconds, 'millisecond');
  }
  if (seconds < 10) {
    return part(seconds, 'second', 1);
  }
  if (seconds < 60) {
    return part(Math.floor(seconds), 'second');
  }
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) {
    return `${part(minutes, 'minute')} ${part(Math.floor(seconds % 60), 'second')}`;
  }
  return `${part(Math.floor(minutes / 60), 'hour')} ${part(minutes % 60, 'minute')}`;
}

/** Text as it was before a terminal would have coloured it. */
export const plain = (text: string) =>
  text.replace(/\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b[()][A-Z0-9]|\u001b[=>78MDEc]|\u001b\][^\u0007]*\u0007/g, '').replace(/\r+\n/g, '\n');
