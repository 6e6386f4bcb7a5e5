package inspect

import (
	"encoding/binary"
	"errors"
	"io"
)

// How much of an image is looked at.
const (
	headBytes   = 512 << 10 // every header, and most tables
	tailBytes   = 4 << 10   // footers of VHD and VMDK
	windowBytes = 192 << 10 // metadata region of a VHDX: a table of 64 KiB and its items
	maxWindows  = 2         // the region table and its copy
)

// window is a part of the image somewhere after the head.
type window struct {
	offset int64
	bytes  []byte
}

// view is the part of an image that is looked at. Stream and file fill it the
// same way, which is why their results are the same.
type view struct {
	size    int64
	head    []byte
	windows []window
	tail    []byte // the last tailBytes, or fewer
}

// readView fills a view from a file.
func readView(r io.ReaderAt, size int64) (*view, error) {
	if size < 0 {
		return nil, errors.New("negative size")
	}
	v := &view{size: size}
	var err error
	v.head, err = readPart(r, size, 0, headBytes)
	if err != nil {
		return nil, err
	}
	if len(v.head) == headBytes {
		v.plan()
	}
	for i, w := range v.windows {
		v.windows[i].bytes, err = readPart(r, size, w.offset, windowBytes)
		if err != nil {
			return nil, err
		}
	}
	v.tail, err = readPart(r, size, max(0, size-tailBytes), tailBytes)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// readPart reads up to n bytes, fewer only at the end of the image.
func readPart(r io.ReaderAt, size, offset int64, n int) ([]byte, error) {
	if offset >= size {
		return nil, nil
	}
	p := make([]byte, min(int64(n), size-offset))
	got, err := r.ReadAt(p, offset)
	if got == len(p) {
		return p, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// feed takes the next bytes of a stream.
func (v *view) feed(p []byte) {
	start := v.size
	v.size += int64(len(p))
	v.keepTail(p)

	if len(v.head) < headBytes {
		n := min(len(p), headBytes-len(v.head))
		v.head = append(v.head, p[:n]...)
		if len(v.head) == headBytes {
			v.plan()
		}
	}
	for i := range v.windows {
		w := &v.windows[i]
		next := w.offset + int64(len(w.bytes)) // the first byte still missing
		skip := next - start
		if skip < 0 || skip >= int64(len(p)) {
			continue
		}
		part := p[skip:]
		w.bytes = append(w.bytes, part[:min(len(part), windowBytes-len(w.bytes))]...)
	}
}

func (v *view) keepTail(p []byte) {
	if len(p) >= tailBytes {
		v.tail = append(v.tail[:0], p[len(p)-tailBytes:]...)
		return
	}
	over := len(v.tail) + len(p) - tailBytes
	if over > 0 {
		v.tail = append(v.tail[:0], v.tail[over:]...)
	}
	v.tail = append(v.tail, p...)
}

// plan chooses the windows, as soon as the head is complete and before anything
// behind it has passed.
func (v *view) plan() {
	for _, offset := range vhdxMetadata(v) {
		if offset < headBytes || offset > 1<<62 || len(v.windows) == maxWindows {
			continue
		}
		v.windows = append(v.windows, window{offset: int64(offset)})
	}
}

// at returns n bytes at an offset, or nil when the view does not hold them all.
func (v *view) at(offset uint64, n int) []byte {
	if offset > uint64(v.size) {
		return nil
	}
	find := func(start int64, p []byte) []byte {
		if offset < uint64(start) {
			return nil
		}
		rest := offset - uint64(start)
		if rest > uint64(len(p)) || uint64(n) > uint64(len(p))-rest {
			return nil
		}
		return p[rest : rest+uint64(n)]
	}
	p := find(0, v.head)
	for _, w := range v.windows {
		if p == nil {
			p = find(w.offset, w.bytes)
		}
	}
	if p == nil {
		p = find(v.size-int64(len(v.tail)), v.tail)
	}
	return p
}

// starts tells whether the bytes at the offset are the given ones.
func (v *view) starts(offset uint64, magic string) bool {
	return string(v.at(offset, len(magic))) == magic
}

// Numbers of a header that was checked to be long enough.
var (
	be16 = binary.BigEndian.Uint16
	be32 = binary.BigEndian.Uint32
	be64 = binary.BigEndian.Uint64
	le32 = binary.LittleEndian.Uint32
	le64 = binary.LittleEndian.Uint64
)

// zero tells whether all bytes are 0.
func zero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// ceilDiv is a/b rounded up; b is not 0.
func ceilDiv(a, b uint64) uint64 {
	n := a / b
	if a%b != 0 {
		n++
	}
	return n
}
