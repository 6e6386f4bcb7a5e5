import { useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { Attention, type Screened } from './attention';
import { Remote, type ConsoleProps } from './remote';
import { licence, loadLibrary, showSpice, type Library } from './spice-client';

/** A guest's screen in SPICE by spice-html5. */
export function SpiceScreen({ token, ...props }: ConsoleProps) {
  const { t } = useTranslation();
  const library = useRef<Library>(null);
  return (
    <Remote<Screened>
      kind="spice"
      label={t('tab.spice')}
      token={async () => {
        library.current = await loadLibrary();
        return token();
      }}
      show={(place, address, connected) => showSpice(library.current as Library, place, address, connected)}
      buttons={(screen) => (
        <>
          <a className="small" href={licence} target="_blank" rel="noreferrer">
            {t('console.drawnBy')}
          </a>
          <Attention screen={screen} />
        </>
      )}
      {...props}
    />
  );
}
