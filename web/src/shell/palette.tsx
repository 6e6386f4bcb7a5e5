import { useQueries, useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { Modal } from 'antd';
import { useMemo, useRef, useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { sessionQuery } from '../api/session';
import { all, resourceOf, type Kind } from '../kinds';
import { matches } from '../resource/rows';
import type { AnyResource, Scope } from '../resource/resource';
import { groupsFor } from './places';

interface Entry {
  key: string;
  to: string;
  name: string;
  what: string;
  icon?: ReactNode;
}

// What only operators may list, and what has no page to go to.
const operators: readonly Kind[] = ['hosts', 'services', 'aggregates', 'volume-qos', 'domains', 'projects', 'users', 'groups', 'roles', 'openid-clients'];
const without: readonly Kind[] = ['rules', 'services', 'zones', 'migrations', 'rbac-policies', 'port-forwardings', 'application-credentials', 'ec2-credentials', 'trusts', 'factors', 'assignments', 'registered-limits', 'limits'];
const most = 40;
const none: readonly string[] = [];

/** Finds a page or any object by name, id or address, and goes there. */
export default function Palette({ close }: { close: () => void }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const input = useRef<HTMLInputElement>(null); // the dialog would rather focus its first button
  const list = useRef<HTMLUListElement>(null);
  const { data: session } = useQuery(sessionQuery);
  const project = session?.project;
  const roles = session?.roles ?? none;
  const operator = roles.includes('admin');
  const kinds = all.filter((kind) => !without.includes(kind) && (operator || !operators.includes(kind)));
  const found = useQueries({
    queries: kinds.map((kind) => ({
      queryKey: ['palette', kind, project?.id, operator],
      queryFn: async ({ signal }: { signal: AbortSignal }): Promise<{ resource: AnyResource; rows: unknown[] }> => {
        const resource = await resourceOf(kind);
        const scope: Scope = { project: project ?? { id: '', name: '' }, user: session?.user ?? { id: '', name: '' }, roles: [...roles], operator, all: operator };
        return { resource, rows: await resource.list(scope, signal) };
      },
      enabled: project != null,
      staleTime: 10_000,
      retry: false,
    })),
  });
  const places = useMemo(() => groupsFor(roles).flatMap((group) => group.places), [roles]);
  const wanted = text.trim().toLowerCase();
  const entries: Entry[] = places
    .map(({ to, word }): Entry => ({ key: to, to, name: t(word), what: t('palette.page') }))
    .filter((entry) => wanted === '' || entry.name.toLowerCase().includes(wanted));
  if (wanted !== '') {
    for (const { resource, rows } of found.map(({ data }) => data).filter((data) => data !== undefined)) {
      for (const row of rows) {
        if (entries.length < most && matches(resource, row, wanted)) {
          entries.push(entryOf(resource, row, t(`thing.${resource.kind}.one`), wanted));
        }
      }
    }
  }
  const chosen = Math.min(at, entries.length - 1);
  const go = (entry: Entry | undefined) => {
    if (entry !== undefined) {
      close();
      void navigate({ to: entry.to as '/' });
    }
  };
  const move = (to: number) => {
    const next = (to + entries.length) % Math.max(1, entries.length);
    setAt(next);
    list.current?.children[next]?.scrollIntoView({ block: 'nearest' });
  };
  return (
    <Modal open title={t('palette.title')} onCancel={close} footer={null} destroyOnHidden className="palette" afterOpenChange={(open) => open && input.current?.focus()}>
      <input
        ref={input}
        className="plain-input"
        role="combobox"
        aria-expanded
        aria-controls="palette-list"
        aria-activedescendant={entries[chosen] && `palette-${chosen}`}
        aria-label={t('palette.title')}
        placeholder={t('palette.hint')}
        spellCheck={false}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={(event) => {
          const steps: Record<string, () => void> = { ArrowDown: () => move(chosen + 1), ArrowUp: () => move(chosen - 1), Enter: () => go(entries[chosen]) };
          const step = steps[event.key];
          if (step !== undefined && !event.nativeEvent.isComposing) {
            event.preventDefault();
            step();
          }
        }}
      />
      <ul id="palette-list" role="listbox" aria-label={t('palette.title')} ref={list}>
        {entries.map((entry, i) => (
          <li key={entry.key} id={`palette-${i}`} role="option" aria-selected={i === chosen} onClick={() => go(entry)} onPointerMove={() => setAt(i)}>
            {entry.icon} <span className="wrap">{entry.name}</span> <span className="muted small">{entry.what}</span>
          </li>
        ))}
      </ul>
      <p className="muted small" role="status">
        {entries.length === 0 ? t(found.some((query) => query.isPending) ? 'loading' : 'palette.none') : t('palette.count', { count: entries.length })}
      </p>
    </Modal>
  );
}

/** A row as an entry, with the term by which it was found. */
function entryOf(resource: AnyResource, row: unknown, what: string, wanted: string): Entry {
  const id = resource.id(row);
  const place = resource.place?.(row) ?? (resource.read === undefined ? `/${resource.kind}` : `/${resource.kind}/${encodeURIComponent(id)}`);
  const about = resource.terms?.(row).find((term) => term?.toLowerCase().includes(wanted));
  return { key: `${resource.kind} ${id}`, to: place, name: resource.name(row), what: about ? `${what} · ${about}` : what, icon: resource.icon };
}
