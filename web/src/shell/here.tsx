import { createContext, useContext, useMemo, useState, type ReactNode } from 'react';
import type { Named } from '../api/session';
import type { Scope } from '../resource/resource';

interface Place {
  user: Named;
  project: Named;
  roles: string[];
}

interface Standing extends Place {
  scope: Scope;
  lookAtAll: (all: boolean) => void;
}

const Context = createContext<Standing | null>(null);

export function Here({ value, children }: { value: Place; children: ReactNode }) {
  const [all, lookAtAll] = useState(false);
  const { project, user, roles } = value;
  const operator = roles.includes('admin');
  const scope = useMemo(() => ({ project, user, roles, operator, all: all && operator }), [project, user, roles, operator, all]);
  return <Context value={{ ...value, scope, lookAtAll }}>{children}</Context>;
}

/** Who works where. Only below SignedIn. */
export function useHere(): Standing {
  const place = useContext(Context);
  if (place === null) {
    throw new Error('useHere stands outside of SignedIn');
  }
  return place;
}
