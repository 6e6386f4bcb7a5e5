import { Button } from 'antd';
import type { Shown } from './remote';

export interface Screened extends Shown {
  /** Presses the keys that no browser hands over. */
  attention(): void;
}

export function Attention({ screen }: { screen: Screened | null }) {
  return (
    <Button disabled={screen === null} onClick={() => screen?.attention()}>
      Ctrl+Alt+Del
    </Button>
  );
}
