import { useQuery } from '@tanstack/react-query';
import { Button, Select, Spin, Switch } from 'antd';
import { useLayoutEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { logQuery, type Server } from '../../api/compute';
import { number, plain } from '../../format';
import { Problem } from '../../ui/problem';
import { save } from '../../ui/save';
import { DownloadOutlined } from '../../ui/icons';

/** The end of what the guest wrote to its serial console. It moves along while the reader is at the end. */
export function Log({ server }: { server: Server }) {
  const { t, i18n } = useTranslation();
  const [lines, setLines] = useState(200);
  const [follow, setFollow] = useState(true);
  const log = useQuery(logQuery(server.id, lines, follow));
  const text = plain(log.data ?? '');
  const box = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);
  useLayoutEffect(() => {
    if (box.current !== null && atEnd.current) {
      box.current.scrollTop = box.current.scrollHeight;
    }
  }, [text]);
  return (
    <div className="panel">
      <div className="tools">
        <Select
          aria-label={t('log.lines')}
          value={lines}
          onChange={setLines}
          style={{ width: 150 }}
          options={[100, 200, 1000, 5000].map((n) => ({ value: n, label: t('log.last', { lines: number(n, i18n.language) }) }))}
        />
        <label className="row">
          <Switch size="small" checked={follow} onChange={setFollow} /> {t('log.follow')}
        </label>
        <span className="grow" />
        <Button icon={<DownloadOutlined />} disabled={text === ''} onClick={() => save(`${server.name}.log`, text)}>
          {t('log.download')}
        </Button>
      </div>
      {log.error && (
        <div style={{ padding: 12 }}>
          <Problem error={log.error} retry={() => void log.refetch()} />
        </div>
      )}
      {log.isPending && <Spin style={{ padding: 40 }} />}
      {log.data !== undefined && (
        <pre
          className="log"
          ref={box}
          tabIndex={0}
          role="log"
          aria-label={t('tab.log')}
          aria-live="off"
          onScroll={({ currentTarget: e }) => {
            atEnd.current = e.scrollHeight - e.scrollTop - e.clientHeight < 24;
          }}
        >
          {text === '' ? t('log.empty') : text}
        </pre>
      )}
    </div>
  );
}
