import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { Kind } from '../kinds';
import { Ago } from '../ui/time';
import { useRows } from './query';
import type { Column } from './resource';

interface Item {
  id: string;
  name?: string | null;
}

/** Another resource by its name, leading to its page. */
export function Ref({ kind, id }: { kind: Kind; id: string | null | undefined }): ReactNode {
  const rows = useRows<Item>(kind, id != null && id !== '');
  if (id == null || id === '') {
    return <span className="muted">–</span>;
  }
  const name = rows?.find((row) => row.id === id)?.name;
  const text = name ? name : <span className="mono">{id.slice(0, 8)}</span>;
  if (kind === 'servers') {
    return (
      <Link to="/instances/$id/$tab" params={{ id, tab: 'overview' }}>
        {text}
      </Link>
    );
  }
  return (
    <Link to="/$kind/$id" params={{ kind, id }}>
      {text}
    </Link>
  );
}

/** Columns that many kinds have. */
export const created = <R extends { created_at: string }>(): Column<R> => ({
  word: 'field.created',
  from: 'lg',
  sort: (row) => row.created_at,
  show: (row) => (row.created_at ? <Ago time={row.created_at} /> : null),
});

export const description = <R extends { description?: string | null }>(): Column<R> => ({
  word: 'field.description',
  from: 'lg',
  show: (row) => row.description || null,
});

export const tags = (list: string[]) => (list.length === 0 ? null : <span className="row">{list.map((tag) => <span key={tag} className="tag">{tag}</span>)}</span>);

export const code = (text: string | null | undefined) => (text ? <span className="mono">{text}</span> : null);
