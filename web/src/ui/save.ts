/** Hands text to the user as a file. */
export const save = (name: string, text: string, type = 'text/plain') => saveBlob(name, new Blob([text], { type }));

/** Hands bytes to the user as a file. */
export function saveBlob(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
