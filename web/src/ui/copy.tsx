import { Button } from 'antd';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { CheckOutlined, CopyOutlined } from './icons';

/** Text that people carry elsewhere, and the button that does it. */
export function Copyable({ text, children }: { text: string; children?: React.ReactNode }) {
  return (
    <span className="mono">
      {children ?? text} <CopyButton text={text} />
    </span>
  );
}

export function CopyButton({ text, label }: { text: string; label?: string }) {
  const { t } = useTranslation();
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) {
      return;
    }
    const timer = setTimeout(() => setCopied(false), 1_500);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <Button
      type={label === undefined ? 'text' : 'default'}
      size="small"
      icon={copied ? <CheckOutlined /> : <CopyOutlined />}
      aria-label={copied ? t('copied') : t('copy', { text: label ?? text })}
      onClick={(event) => {
        event.stopPropagation();
        void navigator.clipboard?.writeText(text).then(() => setCopied(true));
      }}
    >
      {label}
    </Button>
  );
}
