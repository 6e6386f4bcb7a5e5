import { Tooltip } from 'antd';
import { useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { ago, duration, instant, moment } from '../format';

// One clock for all times on a page, so that they tick together and cheaply.
let now = Date.now();
const listeners = new Set<() => void>();
let ticking: ReturnType<typeof setInterval> | undefined;

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  ticking ??= setInterval(() => {
    now = Date.now();
    listeners.forEach((each) => each());
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(ticking);
      ticking = undefined;
    }
  };
}

const useNow = (step: number) => useSyncExternalStore(subscribe, () => Math.floor(now / step) * step);

/** How long ago something was; the exact moment on hover and focus. */
export function Ago({ time }: { time: string }) {
  const { i18n } = useTranslation();
  const current = useNow(10_000);
  return (
    <Tooltip title={moment(time, i18n.language)}>
      <time dateTime={instant(time).toISOString()}>
        {ago(time, Math.max(current, instant(time).getTime()), i18n.language)}
      </time>
    </Tooltip>
  );
}

/** How long something lasts already. */
export function Lasting({ since }: { since: string }) {
  const { i18n } = useTranslation();
  const current = useNow(1_000);
  return <span className="nums">{duration(Math.round((current - instant(since).getTime()) / 1000) * 1000, i18n.language)}</span>;
}

/** A moment, which may be still to come. */
export function Moment({ time }: { time: string }) {
  const { i18n } = useTranslation();
  return <time dateTime={instant(time).toISOString()}>{moment(time, i18n.language)}</time>;
}
