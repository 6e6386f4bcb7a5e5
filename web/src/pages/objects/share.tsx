import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Button, Modal, Select, Skeleton } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { perform } from '../../api/client';
import { change, containerPath, head, newKey, objectPath, objectUrl, temporaryUrl } from '../../api/object';
import { duration } from '../../format';
import { refresh } from '../../resource/query';
import { useHere } from '../../shell/here';
import { Copyable } from '../../ui/copy';
import { Problem } from '../../ui/problem';

const hour = 3600;
const spans = [hour, 24 * hour, 7 * 24 * hour];

/** Addresses for people without an account: the public one, where the container is public, and one that expires. */
export function Share({ container, name, close }: { container: string; name: string; close: () => void }) {
  const { t, i18n } = useTranslation();
  const { scope } = useHere();
  const queryClient = useQueryClient();
  const [span, setSpan] = useState(24 * hour);
  const place = containerPath(scope.project.id, container);
  const path = objectPath(scope.project.id, container, name);
  const headers = useQuery({ queryKey: ['object', place], queryFn: ({ signal }) => head(place, signal) });
  const sign = useMutation({
    mutationFn: async () => {
      // The container's key signs; the first address makes it, later ones share it.
      let key = headers.data?.['x-container-meta-temp-url-key'];
      if (key === undefined || key === '') {
        key = newKey();
        await perform(change(place, { 'X-Container-Meta-Temp-URL-Key': key }));
        await refresh(queryClient);
      }
      return temporaryUrl(path, key, span);
    },
  });
  const open = headers.data?.['x-container-read']?.includes('.r:*') === true;
  return (
    <Modal open title={t('object.shareTitle', { name })} onCancel={close} footer={null} destroyOnHidden>
      {headers.error && <Problem error={headers.error} />}
      {headers.isPending && <Skeleton active title={false} />}
      {headers.data && (
        <div className="stack">
          <section aria-label={t('object.publicLink')}>
            <h3>{t('object.publicLink')}</h3>
            {open ? <Copyable text={objectUrl(path)} /> : <p className="muted">{t('object.notPublic')}</p>}
          </section>
          <section aria-label={t('object.temporary')}>
            <h3>{t('object.temporary')}</h3>
            <p className="muted">{t('object.temporaryHelp')}</p>
            <div className="row">
              <Select
                aria-label={t('object.validFor')}
                style={{ width: 160 }}
                value={span}
                onChange={setSpan}
                options={spans.map((value) => ({ value, label: duration(value * 1000, i18n.language) }))}
              />
              <Button type="primary" loading={sign.isPending} onClick={() => sign.mutate()}>
                {t('object.makeLink')}
              </Button>
            </div>
            {sign.error && <Problem error={sign.error} />}
            {sign.data !== undefined && (
              <p className="wrap" data-testid="temporary">
                <Copyable text={sign.data} />
              </p>
            )}
          </section>
        </div>
      )}
    </Modal>
  );
}
