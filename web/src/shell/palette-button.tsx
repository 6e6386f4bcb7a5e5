import { Button } from 'antd';
import { lazy, Suspense, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { SearchOutlined } from '../ui/icons';

const Palette = lazy(() => import('./palette'));

/** Opens the palette, as Ctrl+K and ⌘K do. */
export function PaletteButton({ enabled }: { enabled: boolean }) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      // In a console the keys are the guest's.
      const inside = event.target instanceof Element && event.target.closest('.screen') !== null;
      if (enabled && !inside && event.key.toLowerCase() === 'k' && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) {
        event.preventDefault();
        setOpen(true);
      }
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, [enabled]);
  return (
    <>
      <Button type="text" icon={<SearchOutlined />} disabled={!enabled} onClick={() => setOpen(true)} aria-keyshortcuts="Control+K Meta+K" data-testid="palette">
        <span className="wide-only">{t('palette.open')}</span> <kbd className="wide-only">Ctrl K</kbd>
      </Button>
      {open && (
        <Suspense>
          <Palette close={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  );
}
