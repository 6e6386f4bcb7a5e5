import { useEffect, type ReactNode } from 'react';
import { Wide } from './wide';

/** What the browser's tab says. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Nacre`;
  }, [title]);
}

/** A page's head: its name, and what can be done here. */
export function PageHead({ title, beside, children }: { title: string; beside?: ReactNode; children?: ReactNode }) {
  useTitle(title);
  return (
    <div className="page-head">
      <h1>{title}</h1>
      {beside}
      <span className="grow" />
      {children}
    </div>
  );
}

export function Panel({ title, tools, children, bare }: { title?: string; tools?: ReactNode; children: ReactNode; bare?: boolean }) {
  return (
    <section className="panel" aria-label={title}>
      {title !== undefined && (
        <header>
          <h2>{title}</h2>
          <span style={{ flex: 1 }} />
          {tools}
        </header>
      )}
      {bare === true ? <Wide label={title ?? ''}>{children}</Wide> : <div className="body">{children}</div>}
    </section>
  );
}
