import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Button, Form, Input, Modal, Spin } from 'antd';
import { useTranslation } from 'react-i18next';
import { ask, perform } from '../../api/client';
import type { Image, Member } from '../../api/image';
import { AsCommand } from '../../resource/as-command';
import { refresh } from '../../resource/query';
import { del, label, post, put } from '../../resource/resource';
import { stateWord } from '../../resource/state';
import { useHere } from '../../shell/here';
import { Problem } from '../../ui/problem';

/** Whom a shared image is shared with. The owner adds and removes; the other side accepts or refuses. */
export function Members({ rows, close }: { rows: Image[]; close: () => void }) {
  const { t } = useTranslation();
  const { project } = useHere();
  const queryClient = useQueryClient();
  const [form] = Form.useForm<{ member: string }>();
  const wanted = Form.useWatch('member', form) as string | undefined;
  const image = rows[0];
  const path = `/images/${image?.id ?? ''}/members`;
  const members = useQuery({
    queryKey: ['members', image?.id],
    queryFn: async ({ signal }) => (await ask<{ members: Member[] }>('image', path, { signal })).members,
  });
  const change = useMutation({ mutationFn: perform, onSuccess: () => form.resetFields(), onSettled: () => refresh(queryClient) });
  if (image === undefined) {
    return null;
  }
  const mine = image.owner === project.id;
  const add = post('image', path, { member: (wanted ?? '').trim() });
  return (
    <Modal open title={t('resource.about', { action: t('image.members'), what: label(image) })} onCancel={close} footer={null} destroyOnHidden>
      <div className="stack">
        <p className="muted" style={{ margin: 0 }}>
          {t(image.visibility === 'shared' ? 'image.membersHelp' : 'image.notShared')}
        </p>
        {members.error && <Problem error={members.error} />}
        {members.isPending && <Spin />}
        <ul className="results">
          {members.data?.map((member) => (
            <li key={member.member_id} className="row">
              <span className="mono wrap">{member.member_id}</span>
              <span className="tag">{stateWord(t, member.status)}</span>
              <span style={{ flex: 1 }} />
              {mine ? (
                <Button size="small" danger aria-label={t('image.unshareLabel', { id: member.member_id })} onClick={() => change.mutate(del('image', `${path}/${member.member_id}`))}>
                  {t('image.unshare')}
                </Button>
              ) : (
                (['accepted', 'rejected'] as const).map((status) => (
                  <Button key={status} size="small" disabled={member.status === status} onClick={() => change.mutate(put('image', `${path}/${member.member_id}`, { status }))}>
                    {t(status === 'accepted' ? 'image.accepted' : 'image.rejected')}
                  </Button>
                ))
              )}
            </li>
          ))}
        </ul>
        {mine && image.visibility === 'shared' && (
          <Form form={form} name="image-members" layout="vertical" requiredMark={false} onFinish={() => change.mutate(add)}>
            <Form.Item name="member" label={t('image.member')} extra={t('image.memberHint')} rules={[{ required: true, message: t('resource.needed') }]}>
              <Input />
            </Form.Item>
            {wanted && <AsCommand calls={[add]} />}
            {change.error && <Problem error={change.error} />}
            <div className="row" style={{ justifyContent: 'flex-end' }}>
              <Button type="primary" htmlType="submit" loading={change.isPending}>
                {t('image.share')}
              </Button>
            </div>
          </Form>
        )}
        {!mine && change.error && <Problem error={change.error} />}
      </div>
    </Modal>
  );
}
