package qemu

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unicode/utf16"
)

// loaderSays is what the loader below prints.
const loaderSays = "The loader runs, which nobody has signed."

// unsigned makes an image of a disk with a loader for UEFI that says so and ends.
func unsigned(t *testing.T, dir string) (image string) {
	t.Helper()
	loader, raw, image := filepath.Join(dir, "loader.efi"), filepath.Join(dir, "loader.raw"), filepath.Join(dir, "loader.qcow2")
	err := os.WriteFile(loader, efiProgram(loaderSays+"\r\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"mformat", "-i", raw, "-C", "-T", "65536", "::"}, {"mmd", "-i", raw, "::/EFI", "::/EFI/BOOT"}, {"mcopy", "-i", raw, loader, "::/EFI/BOOT/BOOTX64.EFI"},
		{"qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image},
	} {
		said, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v (Debian packages mtools, qemu-utils): %v: %s", args, err, said)
		}
	}
	return image
}

// efiProgram is a program for UEFI that prints a text: a PE file of one section.
func efiProgram(text string) []byte {
	const headers, section, page = 0x200, 0x400, 0x1000
	code := []byte{
		0x48, 0x83, 0xec, 0x28, // sub rsp, 40
		0x48, 0x8b, 0x4a, 0x40, // mov rcx, [rdx+0x40]: the console of the system's table
		0x48, 0x8d, 0x15, 10, 0, 0, 0, // lea rdx, text
		0xff, 0x51, 0x08, // call [rcx+8]: print
		0x48, 0x83, 0xc4, 0x28, // add rsp, 40
		0x31, 0xc0, // xor eax, eax: success
		0xc3, // ret
	}
	var out bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&out, binary.LittleEndian, v) // a buffer takes all
		}
	}
	fill := func(to int) { out.Write(make([]byte, to-out.Len())) }
	out.WriteString("MZ")
	fill(0x3c)
	put(uint32(0x40))
	out.WriteString("PE\x00\x00")
	put(uint16(0x8664), uint16(1), [3]uint32{}, uint16(0xf0), uint16(0x22))                                            // x86-64, one section, an executable
	put(uint16(0x20b), uint16(0), uint32(section), [2]uint32{}, uint32(page), uint32(page), uint64(0))                 // begins with its code
	put(uint32(page), uint32(headers), [4]uint32{}, uint32(2*page), uint32(headers), uint32(0), uint16(10), uint16(0)) // an application of UEFI
	put([4]uint64{}, uint32(0), uint32(16), [16]uint64{})                                                              // no directories
	put([8]byte{'.', 't', 'e', 'x', 't'}, uint32(section), uint32(page), uint32(section), uint32(headers), [3]uint32{}, uint32(0x60000020))
	fill(headers)
	out.Write(code)
	put(utf16.Encode([]rune(text + "\x00")))
	fill(headers + section)
	return out.Bytes()
}
