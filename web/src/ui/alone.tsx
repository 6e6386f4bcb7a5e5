import type { ComponentType } from 'react';
import { useTitle } from './page';
import { tokenOf, type ConsoleProps } from './remote';

/** A console on a page of its own, for whoever has its address. The address works once. */
export function Alone({ title, of: Console }: { title: string; of: ComponentType<ConsoleProps> }) {
  useTitle(title);
  return (
    <main className="standalone">
      <Console alone again={false} token={() => Promise.resolve(tokenOf(location.href))} />
    </main>
  );
}
