import { useTranslation } from 'react-i18next';
import { number } from '../format';

/** How much of a quota is used; with more, what a request would add. */
export function Usage({
  label,
  used,
  limit,
  more = 0,
  show,
}: {
  label: string;
  used: number;
  limit: number;
  more?: number;
  show?: (n: number, language: string) => string;
}) {
  const { t, i18n } = useTranslation();
  // Nothing has no unit.
  const text = (n: number) => (n === 0 ? number : (show ?? number))(n, i18n.language);
  const total = used + more;
  const unlimited = limit < 0;
  const share = unlimited || limit === 0 ? 0 : Math.min(1, total / limit);
  const level = unlimited ? '' : total > limit || (limit > 0 && more === 0 && used >= limit) ? ' full' : share >= 0.8 ? ' tight' : '';
  const caption = unlimited ? t('usage.unlimited', { used: text(total) }) : t('usage.of', { used: text(total), limit: text(limit) });
  return (
    <div className={`usage${level}`}>
      <div className="caption">
        <span>{label}</span>
        <span className="nums muted">{caption}</span>
      </div>
      <div
        className="track"
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={unlimited ? Math.max(total, 1) : limit}
        aria-valuenow={unlimited ? total : Math.min(total, limit)}
        aria-valuetext={caption}
      >
        <div className="fill" style={{ width: `${share * 100}%` }} />
      </div>
    </div>
  );
}
