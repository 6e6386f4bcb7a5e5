package nbd

import "sync"

// page is the grain in which a Sparse disk takes room.
const page = 64 << 10

// Sparse is a disk in memory that holds only what was written to it. It may be
// used concurrently.
type Sparse struct {
	mu    sync.Mutex // guards all
	size  int64
	pages map[int64][]byte
}

// NewSparse makes a disk that reads as zeros.
func NewSparse(size int64) *Sparse { return &Sparse{size: size, pages: map[int64][]byte{}} }

// Clone makes another disk with the same bytes, at least as large.
func (s *Sparse) Clone(size int64) *Sparse {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := NewSparse(max(size, s.size))
	for number, bytes := range s.pages {
		out.pages[number] = append([]byte(nil), bytes...)
	}
	return out
}

// Grow makes the disk at least this large.
func (s *Sparse) Grow(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size = max(s.size, size)
}

// Size implements Disk.
func (s *Sparse) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Writable implements Disk.
func (s *Sparse) Writable() bool { return true }

// each calls do for the parts of the pages that a part of the disk covers.
func each(offset, length int64, do func(number, from, to, at int64)) {
	for at := int64(0); at < length; {
		number, from := (offset+at)/page, (offset+at)%page
		to := min(page, from+length-at)
		do(number, from, to, at)
		at += to - from
	}
}

// ReadAt implements Disk.
func (s *Sparse) ReadAt(p []byte, offset int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(p)
	each(offset, int64(len(p)), func(number, from, to, at int64) {
		if bytes := s.pages[number]; bytes != nil {
			copy(p[at:], bytes[from:to])
		}
	})
	return len(p), nil
}

// WriteAt implements Disk.
func (s *Sparse) WriteAt(p []byte, offset int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	each(offset, int64(len(p)), func(number, from, to, at int64) {
		if s.pages[number] == nil {
			s.pages[number] = make([]byte, page)
		}
		copy(s.pages[number][from:to], p[at:])
	})
	return len(p), nil
}

// Zero implements Disk.
func (s *Sparse) Zero(offset, length int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for number, bytes := range s.pages {
		from, to := max(offset-number*page, 0), min(offset+length-number*page, page)
		switch {
		case from == 0 && to == page:
			delete(s.pages, number)
		case from < to:
			clear(bytes[from:to])
		}
	}
	return nil
}

// Extents implements Disk.
func (s *Sparse) Extents(offset, length int64) []Extent {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Extent
	each(offset, length, func(number, from, to, at int64) {
		zero := s.pages[number] == nil
		last := len(list) - 1
		if last >= 0 && list[last].Zero == zero {
			list[last].Length += to - from
			return
		}
		list = append(list, Extent{Offset: offset + at, Length: to - from, Zero: zero})
	})
	return list
}
