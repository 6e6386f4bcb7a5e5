import { Spin } from 'antd';
import { useTranslation } from 'react-i18next';
import type { ReactNode } from 'react';

/** Nothing is here yet: says what belongs here and how to begin. */
export function Empty({ icon, title, text, children }: { icon: ReactNode; title: string; text: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <span className="lead anticon">{icon}</span>
      <h2>{title}</h2>
      <p>{text}</p>
      {children}
    </div>
  );
}

/** While it is not known what is here. */
export function Waiting() {
  const { t } = useTranslation();
  return (
    <div style={{ display: 'grid', placeItems: 'center', minHeight: '60vh' }}>
      <Spin aria-label={t('loading')} />
    </div>
  );
}
