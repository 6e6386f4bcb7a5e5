import { Button, Form, Input, Select } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Question } from '../api/permission';
import { useRows } from '../resource/query';
import { useHere } from '../shell/here';
import { PageHead, Panel } from '../ui/page';
import { Explanation } from '../ui/why';

interface Item {
  id: string;
  name: string;
}

interface Typed {
  user_id?: string;
  project_id?: string;
  method: string;
  path: string;
  action?: string;
}

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].map((value) => ({ value, label: value }));

/** Asks why a user may do a call, or may not; operators ask about others. */
export default function Why() {
  const { t } = useTranslation();
  const { scope } = useHere();
  const users = useRows<Item>('users', scope.operator);
  const projects = useRows<Item>('projects', scope.operator);
  const [question, setQuestion] = useState<Question | null>(null);
  const options = (rows: Item[] | undefined, own: Item) => (rows ?? [own]).map(({ id, name }) => ({ value: id, label: name }));
  const finish = ({ user_id, project_id, method, path, action }: Typed) => {
    const whose = { ...(user_id !== undefined && { user_id }), ...(project_id !== undefined && { project_id }) };
    // A rule has colons and no slash; whoever knows it need not know a call.
    setQuestion(path.includes('/') ? { ...whose, method, path: path.trim(), ...(action !== undefined && action !== '' && { action: action.trim() }) } : { ...whose, rule: path.trim() });
  };
  return (
    <>
      <PageHead title={t('nav.why')} />
      <p className="muted">{t('why.help')}</p>
      <div className="stack">
        <Panel title={t('why.question')}>
          <Form<Typed> layout="vertical" name="why" requiredMark={false} initialValues={{ user_id: scope.user.id, project_id: scope.project.id, method: 'POST', path: '/compute/v2.1/servers' }} onFinish={finish}>
            {scope.operator && (
              <>
                <Form.Item name="user_id" label={t('thing.users.one')}>
                  <Select showSearch={{ optionFilterProp: 'label' }} options={options(users, scope.user)} />
                </Form.Item>
                <Form.Item name="project_id" label={t('thing.projects.one')}>
                  <Select showSearch={{ optionFilterProp: 'label' }} options={options(projects, scope.project)} />
                </Form.Item>
              </>
            )}
            <Form.Item name="method" label={t('why.method')}>
              <Select options={methods} style={{ maxWidth: 160 }} />
            </Form.Item>
            <Form.Item name="path" label={t('why.path')} extra={t('why.pathHint')} rules={[{ required: true, message: t('resource.needed') }]}>
              <Input className="mono" spellCheck={false} />
            </Form.Item>
            <Form.Item name="action" label={t('why.action')} extra={t('why.actionHint')}>
              <Input className="mono" spellCheck={false} style={{ maxWidth: 320 }} />
            </Form.Item>
            <Button type="primary" htmlType="submit" id="ask">
              {t('why.submit')}
            </Button>
          </Form>
        </Panel>
        {question !== null && (
          <Panel title={t('why.title')}>
            <Explanation key={JSON.stringify(question)} question={question} />
          </Panel>
        )}
      </div>
    </>
  );
}
