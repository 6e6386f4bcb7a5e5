import { Alert, Button } from 'antd';
import type { TFunction } from 'i18next';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../api/client';
import { questionOf } from '../why';
import { WhyButton } from './why';

/** What the user can do about an error. */
function advice(t: TFunction, error: Error): string {
  if (!(error instanceof ApiError)) {
    return t('problem.ours');
  }
  if (error.status === 403 && /quota|exceed/i.test(error.message)) {
    return t('problem.quota');
  }
  switch (error.status) {
    case 0:
      return t('problem.offline');
    case 400:
    case 422:
      return t('problem.input');
    case 401:
      return t('problem.signIn');
    case 403:
      return t('problem.forbidden');
    case 404:
      return t('problem.gone');
    case 409:
      return t('problem.conflict');
    case 413:
    case 429:
      return error.retryAfter === null ? t('problem.quota') : t('problem.slow', { seconds: error.retryAfter });
    case 501:
      return t('problem.unsupported');
    case 503:
      return t('problem.unavailable');
    default:
      return t('problem.fault');
  }
}

function headline(t: TFunction, error: Error): string {
  if (error instanceof ApiError && error.status === 0) {
    return t('problem.noAnswer');
  }
  // Some services write the request's id into their sentence; it has a line of its own here.
  const said = error instanceof ApiError && error.requestId !== null ? error.message.replace(` (${error.requestId})`, '') : error.message;
  return said === '' ? t('problem.unknown') : said;
}

/** The same in one line, for notices. */
export const problemText = (t: TFunction, error: Error) => `${headline(t, error)} ${advice(t, error)}`;

/** An error as the user needs it: what the cloud said, what to do, and the id that its operators will ask for. */
export function Problem({ error, hint, retry }: { error: Error; hint?: string; retry?: () => void }) {
  const { t } = useTranslation();
  const request = error instanceof ApiError ? error.requestId : null;
  const asked = questionOf(error);
  return (
    <Alert
      type="error"
      showIcon
      title={headline(t, error)}
      description={
        <>
          {hint ?? advice(t, error)}
          {request !== null && <div className="small mono muted">{t('problem.request', { id: request })}</div>}
        </>
      }
      action={
        asked !== null ? (
          <WhyButton asked={asked} />
        ) : (
          retry && (
            <Button size="small" onClick={retry}>
              {t('retry')}
            </Button>
          )
        )
      }
    />
  );
}

/** The same for notices. */
export function Told({ error }: { error: Error }) {
  const { t } = useTranslation();
  const asked = questionOf(error);
  return (
    <>
      {problemText(t, error)} {asked !== null && <WhyButton asked={asked} />}
    </>
  );
}
