import { createContext, useContext, type ReactNode } from 'react';
import type { Named } from '../api/session';

interface Place {
  user: Named;
  project: Named;
  roles: string[];
}

const Context = createContext<Place | null>(null);

export function Here({ value, children }: { value: Place; children: ReactNode }) {
  return <Context value={value}>{children}</Context>;
}

/** Who works where. Only below SignedIn. */
export function useHere(): Place {
  const place = useContext(Context);
  if (place === null) {
    throw new Error('useHere stands outside of SignedIn');
  }
  return place;
}
