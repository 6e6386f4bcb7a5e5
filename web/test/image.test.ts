import { describe, expect, it } from 'vitest';
import { formatOf, importFailed, type Image } from '../src/api/image';

describe('the format of an image', () => {
  it('is guessed by the end of a name or URL', () => {
    expect(formatOf('debian-12.QCOW2')).toBe('qcow2');
    expect(formatOf('disk.img')).toBe('raw');
    expect(formatOf('https://example.org/a/disk.vhdx?token=x.iso')).toBe('vhdx');
  });

  it('stays open when the name says nothing', () => {
    expect(formatOf('kernel')).toBeUndefined();
    expect(formatOf('disk.tar.gz')).toBeUndefined();
  });
});

describe('an import', () => {
  const image = { status: 'queued' } as Image;

  it('has failed when the image is empty and stores are named', () => {
    expect(importFailed(image)).toBe(false);
    expect(importFailed({ ...image, os_glance_failed_import: '' })).toBe(false);
    expect(importFailed({ ...image, os_glance_failed_import: 'local' })).toBe(true);
    expect(importFailed({ ...image, status: 'active', os_glance_failed_import: 'local' })).toBe(false);
  });
});
