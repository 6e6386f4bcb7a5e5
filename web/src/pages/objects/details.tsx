import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Button, Form, Input, Modal, Skeleton } from 'antd';
import { useTranslation } from 'react-i18next';
import { perform } from '../../api/client';
import { change, head, metadata, objectPath, type Entry } from '../../api/object';
import { bytes, moment } from '../../format';
import { AsCommand } from '../../resource/as-command';
import { pairsOf } from '../../resource/body';
import { refresh } from '../../resource/query';
import { useHere } from '../../shell/here';
import { Problem } from '../../ui/problem';

/** What is known of an object, and its metadata to change. */
export function Details({ container, entry, download, close }: { container: string; entry: Entry; download: () => void; close: () => void }) {
  const { t, i18n } = useTranslation();
  const { scope } = useHere();
  const queryClient = useQueryClient();
  const [form] = Form.useForm<{ metadata: string }>();
  const typed = Form.useWatch('metadata', form) as string | undefined;
  const path = objectPath(scope.project.id, container, entry.name);
  const headers = useQuery({ queryKey: ['object', path], queryFn: ({ signal }) => head(path, signal) });
  const call = change(path, {
    'Content-Type': headers.data?.['content-type'] ?? entry.content_type,
    ...Object.fromEntries(Object.entries(pairsOf(typed)).map(([key, value]) => [`X-Object-Meta-${key}`, value])),
  });
  const keep = useMutation({ mutationFn: perform, onSuccess: close, onSettled: () => refresh(queryClient) });
  return (
    <Modal open title={entry.name} onCancel={close} footer={null} destroyOnHidden>
      {headers.error && <Problem error={headers.error} />}
      {headers.isPending && <Skeleton active />}
      {headers.data && (
        <>
          <dl className="facts">
            <dt>{t('field.size')}</dt>
            <dd className="nums">{bytes(Number(headers.data['content-length'] ?? entry.bytes), i18n.language)}</dd>
            <dt>{t('field.type')}</dt>
            <dd>{headers.data['content-type']}</dd>
            <dt>MD5</dt>
            <dd className="mono">{headers.data['etag']}</dd>
            <dt>{t('field.updated')}</dt>
            <dd>{entry.last_modified && moment(entry.last_modified, i18n.language)}</dd>
          </dl>
          <Form
            form={form}
            name="object-metadata"
            layout="vertical"
            requiredMark={false}
            style={{ marginTop: 16 }}
            initialValues={{ metadata: Object.entries(metadata(headers.data, 'object')).map(([key, value]) => `${key}=${value}`).join('\n') }}
            onFinish={() => keep.mutate(call)}
          >
            <Form.Item name="metadata" label={t('field.metadata')} extra={t('resource.pairsHint')}>
              <Input.TextArea rows={3} className="mono" spellCheck={false} />
            </Form.Item>
            {keep.error && <Problem error={keep.error} />}
            <AsCommand calls={[call]} />
            <div className="row" style={{ justifyContent: 'flex-end', marginTop: 16 }}>
              <Button onClick={download}>{t('object.download')}</Button>
              <Button type="primary" htmlType="submit" loading={keep.isPending}>
                {t('object.keep')}
              </Button>
            </div>
          </Form>
        </>
      )}
    </Modal>
  );
}
