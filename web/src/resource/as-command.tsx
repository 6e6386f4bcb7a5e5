import { useTranslation } from 'react-i18next';
import type { Call } from '../api/client';
import { curl } from '../command/curl';
import { openstack } from '../command/openstack';
import { CopyButton } from '../ui/copy';

/** The same as commands, for those who want to repeat it without the page. */
export function AsCommand({ calls, title }: { calls: Call[]; title?: string }) {
  const { t } = useTranslation();
  if (calls.length === 0) {
    return null;
  }
  const spoken = calls.map(openstack);
  const complete = spoken.every((line) => line !== null);
  return (
    <details className="command">
      <summary>{title === undefined ? t('command.show') : t('resource.about', { action: t('command.show'), what: title })}</summary>
      {complete ? <Block name="openstack" text={spoken.join('\n')} /> : <p className="muted small">{t('command.none')}</p>}
      <Block name="curl" text={curl(calls)} />
    </details>
  );
}

function Block({ name, text }: { name: string; text: string }) {
  return (
    <figure>
      <figcaption className="row small muted">
        {name}
        <CopyButton text={text} />
      </figcaption>
      <pre className="mono" tabIndex={0} aria-label={name} data-command={name}>
        {text}
      </pre>
    </figure>
  );
}
