// Package inspect looks at the bytes of a disk image and says what they are,
// without any program that could be talked into following them.
//
// Image formats may name other files: a qcow2 has a backing file and a data
// file, a VMDK lists extents, a differencing VHD its parent. Whoever uploads such
// an image and has the cloud open it, reads files of the host. So nothing else
// touches an image before this package has looked at it, and what it calls a
// danger is never opened.
//
// An image is looked at while it streams by (New, Write, Result) or in a file
// (File). Both see the same few parts of it, the beginning, the end and the
// metadata of a VHDX, and so come to the same result; memory stays below 2 MiB
// however large the image is. The bytes of the guest's data are never judged.
//
// There are two questions to a Result. Danger is for the upload: it refuses
// what is recognised and harmful, and lets bytes pass that are nothing at all.
// Matches is for the use, and is strict: the content must be what the image's
// disk_format says and free of danger. A program that opens the image afterwards
// must be told the format, since what is harmless as raw may not be as qcow2.
package inspect

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The formats, spelled as the values of an image's disk_format. Those that no
// disk_format names are recognised so that they are not taken for raw.
const (
	Raw   = "raw" // nothing recognised, or a partitioned disk
	QCOW2 = "qcow2"
	QCOW  = "qcow" // version 1
	VMDK  = "vmdk"
	VHD   = "vhd"
	VHDX  = "vhdx"
	VDI   = "vdi"
	ISO   = "iso"
	Ploop = "ploop"
	QED   = "qed"
	LUKS  = "luks"
)

// AsDisk is what a program calls the format that presents the image as a disk: an
// ISO has no form of its own.
func AsDisk(format string) string {
	if format == ISO {
		return Raw
	}
	return format
}

// MaxVirtualSize is the largest disk an image may claim to be: 1 PiB.
const MaxVirtualSize = 1 << 50

// Result is what an image is.
type Result struct {
	Format      string   // what it is; Raw when it is nothing else
	Formats     []string // every format but raw that the bytes can be read as
	Size        int64    // bytes of the image
	VirtualSize int64    // bytes of the disk that a guest sees
	Partitions  string   // "mbr", "gpt" or empty: a raw disk's partition table
	Dangers     []string // why it must not be opened, as ends of a sentence
}

// Danger is an error that says why the image must not be opened, or nil.
func (r Result) Danger() error {
	if len(r.Dangers) == 0 {
		return nil
	}
	return fmt.Errorf("the %s image %s", r.Format, strings.Join(r.Dangers, ", "))
}

// Matches is nil when the content is what the disk format says and is safe to
// open as such.
func (r Result) Matches(diskFormat string) error {
	err := r.Danger()
	if err != nil {
		return err
	}
	want := diskFormat
	switch diskFormat {
	case "":
		return errors.New("the image has no disk format")
	case "ami", "ari", "aki":
		want = Raw // kernels, ramdisks and file systems as they are
	}
	if r.Format != want {
		return fmt.Errorf("the image's disk format is %s, its content is %s", diskFormat, r.Format)
	}
	return nil
}

// File looks at an image of the given size.
func File(r io.ReaderAt, size int64) (Result, error) {
	v, err := readView(r, size)
	if err != nil {
		return Result{}, fmt.Errorf("inspect image: %w", err)
	}
	return judge(v), nil
}

// Inspector looks at an image that is written to it.
type Inspector struct{ view view }

// New makes an inspector that has seen nothing yet.
func New() *Inspector { return &Inspector{} }

// Write takes the next bytes of the image. It never fails.
func (i *Inspector) Write(p []byte) (int, error) {
	i.view.feed(p)
	return len(p), nil
}

// Result judges what was written so far, as if it were the whole image.
func (i *Inspector) Result() Result { return judge(&i.view) }

// finding is what one format's parser made of the bytes.
type finding struct {
	virtual int64
	dangers []string
}

// maxDangers is how many dangers of one format are told; more help nobody.
const maxDangers = 8

// danger adds the end of a sentence that begins "the … image", once.
func (f *finding) danger(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(f.dangers) < maxDangers && !slices.Contains(f.dangers, text) {
		f.dangers = append(f.dangers, text)
	}
}

// size records the virtual size, and refuses an absurd one.
func (f *finding) size(n uint64) {
	if n > MaxVirtualSize {
		f.danger("claims an absurd size of %d bytes", n)
		n = MaxVirtualSize
	}
	f.virtual = int64(n)
}

// within refuses a table that does not lie inside the image.
func (f *finding) within(v *view, what string, offset, length uint64) {
	size := uint64(v.size)
	if offset > size || length > size-offset {
		f.danger("has its %s outside of the file", what)
	}
}

// parsers recognise one format each; they return nil when it is another.
var parsers = []struct {
	format string
	parse  func(*view) *finding
}{
	{QCOW2, parseQCOW2},
	{QCOW, parseQCOW},
	{QED, parseQED},
	{VMDK, parseVMDK},
	{VHDX, parseVHDX},
	{VHD, parseVHD},
	{VDI, parseVDI},
	{LUKS, parseLUKS},
	{Ploop, parsePloop},
	{ISO, parseISO},
}

func judge(v *view) Result {
	result := Result{Format: Raw, Size: v.size, VirtualSize: v.size, Partitions: partitions(v)}
	for _, p := range parsers {
		f := p.parse(v)
		if f == nil {
			continue
		}
		if len(result.Formats) == 0 {
			result.Format = p.format
			result.VirtualSize = f.virtual
		}
		result.Formats = append(result.Formats, p.format)
		result.Dangers = append(result.Dangers, f.dangers...)
	}
	if len(result.Formats) > 1 {
		result.Dangers = append(result.Dangers, "can be read as "+strings.Join(result.Formats, " and as "))
	}
	return result
}
