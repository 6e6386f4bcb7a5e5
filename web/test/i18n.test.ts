import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { preferred } from '../src/i18n';
import en from '../src/i18n/en';
import zh from '../src/i18n/zh-CN';

type Tree = { [key: string]: string | Tree };

function flat(tree: Tree, path = ''): Map<string, string> {
  const all = new Map<string, string>();
  for (const [key, value] of Object.entries(tree)) {
    const here = path === '' ? key : `${path}.${key}`;
    if (typeof value === 'string') {
      all.set(here, value);
    } else {
      flat(value, here).forEach((text, inner) => all.set(inner, text));
    }
  }
  return all;
}

const english = flat(en);
const chinese = flat(zh);
const names = (text: string) => (text.match(/\{\{\w+\}\}/g) ?? []).sort();

describe('catalogues', () => {
  it('have the same keys', () => {
    // English has a form for one, Chinese hasn't.
    const expected = [...english.keys()].filter((key) => !key.endsWith('_one'));
    expect([...chinese.keys()].sort()).toEqual(expected.sort());
  });

  it('have both forms of each count in English', () => {
    for (const key of english.keys()) {
      if (key.endsWith('_other')) {
        expect(english.has(key.replace(/_other$/, '_one')), key).toBe(true);
      }
    }
  });

  it('fill in the same values', () => {
    for (const [key, text] of chinese) {
      expect(names(text), key).toEqual(names(english.get(key) ?? ''));
    }
  });

  it('leave nothing untranslated or empty', () => {
    for (const [key, text] of chinese) {
      expect(text.trim(), key).not.toBe('');
      const words = (english.get(key) ?? '').replace(/\{\{\w+\}\}/g, '');
      // Abbreviations and measures stay as they are.
      if (/[a-z]{3}/.test(words)) {
        expect(text, key).not.toBe(english.get(key));
      }
    }
  });

  it('hold all and only what the pages ask for', () => {
    const source = files(join(import.meta.dirname, '../src'))
      .map((file) => readFileSync(file, 'utf8'))
      .join('\n');
    const asked = [...source.matchAll(/['`]([a-zA-Z]+(?:\.[\w-]+)+)['`]/g)].map((m) => m[1] ?? '');
    // t(`group.${x}`) asks for a whole group, t('group', { returnObjects }) too.
    const groups = [
      ...[...source.matchAll(/`([\w.]*\.\w*)\$\{/g)].map((m) => m[1] ?? ''),
      ...[...source.matchAll(/t\('([\w.]+)', \{ returnObjects/g)].map((m) => `${m[1]}.`),
    ];
    groups.push('status.', 'task.', 'volumeStatus.', 'done.');
    // t('one'), and t(either ? 'one' : 'other').
    const single = [...source.matchAll(/\bt\([^'`)]*'(\w+)'(?: : '(\w+)')?/g)].flatMap((m) => [m[1] ?? '', m[2] ?? '']);
    const known = new Set([...asked, ...single]);
    const unused = [...english.keys()].filter((key) => {
      const plain = key.replace(/_(one|other)$/, '');
      return !known.has(plain) && !groups.some((group) => plain.startsWith(group));
    });
    expect(unused).toEqual([]);
  });
});

describe('words for what the scheduler says', () => {
  const scheduler = join(import.meta.dirname, '../../internal/compute/scheduler');
  // Each constant of the type, such as: FilterHost Filter = "host"
  const named = (file: string, type: string) =>
    [...readFileSync(join(scheduler, file), 'utf8').matchAll(new RegExp(`^\\t\\w+ +${type} += "(.+)"`, 'gm'))].map((m) => m[1] ?? '');

  it('are there for each filter, and no others', () => {
    const filters = named('scheduler.go', 'Filter');
    expect(filters).toContain('capacity');
    expect(Object.keys(en.schedule.filters).sort()).toEqual(filters.sort());
  });

  it('are there for what goes before the score', () => {
    const before = [...named('weigh.go', 'Weigher'), ...named('scheduler.go', 'Policy').filter((policy) => policy.startsWith('soft-'))];
    expect(before).toHaveLength(4);
    expect(Object.keys(en.schedule.before).sort()).toEqual(before.sort());
  });
});

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      return entry.name === 'i18n' ? [] : files(path);
    }
    return /\.tsx?$/.test(entry.name) ? [path] : [];
  });
}

describe('preferred language', () => {
  it.each([
    ['zh-CN', ['en-US'], 'zh-CN'],
    [null, ['zh-TW', 'en'], 'zh-CN'],
    [null, ['zh'], 'zh-CN'],
    [null, ['de-DE', 'zh-CN', 'en'], 'zh-CN'],
    [null, ['en-GB', 'zh-CN'], 'en'],
    [null, ['fr'], 'en'],
    ['klingon', ['zh-CN'], 'zh-CN'],
    [null, [], 'en'],
  ])('remembered %s, browser %j: %s', (remembered, browser, want) => {
    expect(preferred(remembered, browser)).toBe(want);
  });
});
