import { Button, Dropdown } from 'antd';
import { useTranslation } from 'react-i18next';
import { choose, languages, type Language } from '../i18n';
import { GlobalOutlined } from '../ui/icons';

export function LanguageSwitch() {
  const { t, i18n } = useTranslation();
  return (
    <Dropdown
      autoFocus
      trigger={['click']}
      menu={{
        selectedKeys: [i18n.language],
        items: Object.entries(languages).map(([key, label]) => ({ key, label: <span lang={key}>{label}</span> })),
        onClick: ({ key }) => void choose(key as Language),
      }}
    >
      <Button type="text" icon={<GlobalOutlined />} aria-label={t('language', { name: languages[i18n.language as Language] })} data-testid="language">
        <span className="wide-only">{languages[i18n.language as Language]}</span>
      </Button>
    </Dropdown>
  );
}
