// What the next sign-in on this browser may start from. Nothing secret.
import type { Session } from '../api/session';

const key = 'nacre.last';

interface Last {
  user: string;
  domain: string;
  project: string;
}

export function remember(session: Session): void {
  const last: Last = {
    user: session.user.name,
    domain: session.user.domain?.name ?? 'Default',
    project: session.project?.id ?? '',
  };
  localStorage.setItem(key, JSON.stringify(last));
}

export function last(): Last {
  try {
    const stored = JSON.parse(localStorage.getItem(key) ?? '{}') as Partial<Last>;
    return { user: stored.user ?? '', domain: stored.domain ?? 'Default', project: stored.project ?? '' };
  } catch {
    return { user: '', domain: 'Default', project: '' };
  }
}
