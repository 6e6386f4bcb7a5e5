import { Link } from '@tanstack/react-router';
import { Button } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { MenuOutlined } from '../ui/icons';
import { groupsFor } from './places';

/** All places, in groups. On a narrow screen a button opens them. */
export function Navigation({ roles }: { roles: readonly string[] }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  return (
    <nav className={open ? 'nav open' : 'nav'} aria-label={t('nav.label')}>
      <Button className="nav-button" icon={<MenuOutlined />} aria-expanded={open} onClick={() => setOpen(!open)}>
        {t('nav.menu')}
      </Button>
      <div className="nav-groups">
        {groupsFor(roles).map((group) => (
          <section key={group.word} aria-label={t(group.word)}>
            <h2>{t(group.word)}</h2>
            <ul>
              {group.places.map(({ to, word }) => (
                <li key={to}>
                  <Link to={to as '/'} activeOptions={{ exact: to === '/' }} onClick={() => setOpen(false)}>
                    {t(word)}
                  </Link>
                </li>
              ))}
            </ul>
          </section>
        ))}
      </div>
    </nav>
  );
}
