package object

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"

	"nacre/internal/blob"
	"nacre/internal/db"
	"nacre/internal/errs"
)

// Manifest says of which other objects an object is made. The zero value is an
// object with bytes of its own.
type Manifest struct {
	Prefix   string    `json:"prefix,omitempty"`   // container/prefix: all objects there, by name
	Segments []Segment `json:"segments,omitempty"` // these, in this order
	Link     *Link     `json:"link,omitempty"`     // another object in place of this one
}

// Segment is a piece of a static large object: of another object, or given with
// the list.
type Segment struct {
	Container    string  `json:"container,omitempty"`
	Object       string  `json:"object,omitempty"`
	Etag         string  `json:"etag"`
	Size         int64   `json:"size"`            // of the whole object
	Range        string  `json:"range,omitempty"` // first-last, as the client gave it
	First        int64   `json:"first,omitempty"`
	Length       int64   `json:"length"` // how many bytes from First on
	Data         []byte  `json:"data,omitempty"`
	Nested       bool    `json:"nested,omitempty"` // it is itself a static large object
	ContentType  string  `json:"content_type,omitempty"`
	LastModified db.Time `json:"last_modified,omitempty"`
}

// Link is the target of a symbolic link.
type Link struct {
	Account   string `json:"account"`
	Container string `json:"container"`
	Object    string `json:"object"`
	Etag      string `json:"etag,omitempty"` // what the target must have
	Size      int64  `json:"size,omitempty"`
}

// Limits of what is made of other objects.
const (
	MaxSegments = 1000 // of a static large object
	MaxNesting  = 10   // of large objects in large objects
	MaxLinks    = 2    // from link to link

	maxPieces = 20_000 // objects that one is made of, however nested
)

// Content is what a reader of a place gets: an object, with the size and Etag of
// its bytes, wherever these are.
type Content struct {
	Object
	Composed bool   // made of other objects; the Etag is quoted then
	Via      *Place // where a link has led to
	pieces   []piece
}

// piece is a run of bytes: of a chunk, or data.
type piece struct {
	chunk  Chunk
	data   []byte
	offset int64 // in the chunk
	size   int64
}

// Allow tells whether the reader may have objects of another container.
type Allow func(account, container string) error

// errBroken is what a reader of a large object hears whose segments have gone or
// changed.
func errBroken() error {
	return errs.Conflictf("There was a conflict when trying to complete your request.")
}

// Content finds what a reader gets. Objects that it is made of are checked by
// allow, nil for anything.
func (s *Service) Content(ctx context.Context, p Place, allow Allow) (Content, error) {
	return s.resolve(ctx, p, &resolver{store: s, allow: allow})
}

func (s *Service) resolve(ctx context.Context, p Place, r *resolver) (Content, error) {
	var c Content
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		o, err := find(ctx, tx, p, s.clock.Now())
		if err != nil {
			return err
		}
		r.tx = tx
		c, err = r.follow(ctx, o, 0)
		return err
	})
	return c, err
}

// resolver finds what one object is made of. It gives up on large objects of
// large objects that never end.
type resolver struct {
	tx    *db.Tx
	store *Service
	allow Allow
	seen  int // objects that were looked at
}

// follow goes from link to link and resolves what is there.
func (r *resolver) follow(ctx context.Context, o Object, links int) (Content, error) {
	link := o.Manifest.V.Link
	if link == nil {
		return r.resolve(ctx, o, 0)
	}
	if links == MaxLinks {
		return Content{}, sentence(errs.Conflict, "Too many levels of symbolic links, maximum allowed is %d", MaxLinks)
	}
	err := r.may(link.Account, link.Container)
	if err != nil {
		return Content{}, err
	}
	p := Place{link.Account, link.Container, link.Object, ""}
	target, err := find(ctx, r.tx, p, r.store.clock.Now())
	if err != nil {
		return Content{}, err
	}
	c, err := r.follow(ctx, target, links+1)
	if err == nil && link.Etag != "" && link.Etag != c.Etag {
		err = sentence(errs.Conflict, "Object Etag %q does not match X-Symlink-Target-Etag header %q", c.Etag, link.Etag)
	}
	if c.Via == nil {
		c.Via = &p
	}
	return c, err
}

func (r *resolver) may(account, container string) error {
	if r.allow == nil {
		return nil
	}
	return r.allow(account, container)
}

func (r *resolver) resolve(ctx context.Context, o Object, depth int) (Content, error) {
	m := o.Manifest.V
	r.seen++
	if depth > MaxNesting || r.seen > maxPieces {
		return Content{}, errBroken()
	}
	switch {
	case len(m.Segments) > 0:
		return r.static(ctx, o, depth)
	case m.Prefix != "":
		return r.dynamic(ctx, o, depth)
	}
	c := Content{Object: o}
	for _, chunk := range o.Chunks.V {
		c.pieces = append(c.pieces, piece{chunk: chunk, size: chunk.Size})
	}
	return c, nil
}

// static puts together the segments that the manifest lists. They must be as
// they were when it was written.
func (r *resolver) static(ctx context.Context, o Object, depth int) (Content, error) {
	c := Content{Object: o, Composed: true}
	allowed := map[string]bool{}
	for _, s := range o.Manifest.V.Segments {
		if s.Data != nil {
			c.pieces = append(c.pieces, piece{data: s.Data, size: int64(len(s.Data))})
			continue
		}
		if !allowed[s.Container] {
			err := r.may(o.Account, s.Container)
			if err != nil {
				return Content{}, errBroken()
			}
			allowed[s.Container] = true
		}
		segment, err := r.segment(ctx, Place{o.Account, s.Container, s.Object, ""}, depth)
		if err != nil {
			return Content{}, err
		}
		if segment.Etag != s.Etag || segment.Size != s.Size {
			return Content{}, errBroken()
		}
		c.pieces = append(c.pieces, cut(segment.pieces, s.First, s.Length)...)
	}
	return c, nil
}

func (r *resolver) segment(ctx context.Context, p Place, depth int) (Content, error) {
	o, err := find(ctx, r.tx, p, r.store.clock.Now())
	if errs.Is(err, errs.NotFound) {
		return Content{}, errBroken()
	}
	if err != nil {
		return Content{}, err
	}
	if o.Manifest.V.Link != nil {
		return r.follow(ctx, o, 0)
	}
	return r.resolve(ctx, o, depth+1)
}

// dynamic puts together all objects with the manifest's prefix.
func (r *resolver) dynamic(ctx context.Context, o Object, depth int) (Content, error) {
	container, prefix := SplitName(o.Manifest.V.Prefix)
	err := r.may(o.Account, container)
	if err != nil {
		return Content{}, err
	}
	c, sum := Content{Object: o, Composed: true}, md5.New()
	c.Size = 0
	l := Listing{Prefix: prefix, Limit: MaxListing}
	for {
		entries, err := r.store.Objects(ctx, o.Account, container, l)
		if err != nil {
			return Content{}, err
		}
		for _, e := range entries {
			if container == o.Container && e.Name == o.Name {
				continue // a manifest whose own name has the prefix
			}
			segment, err := r.segment(ctx, Place{o.Account, container, e.Name, ""}, depth)
			if err != nil {
				return Content{}, err
			}
			c.Size += segment.Size
			c.UpdatedAt = max(c.UpdatedAt, segment.UpdatedAt)
			c.pieces = append(c.pieces, segment.pieces...)
			sum.Write([]byte(segment.Etag))
		}
		if len(entries) < l.Limit {
			break
		}
		l.Marker = entries[len(entries)-1].Name
	}
	c.Etag = hex.EncodeToString(sum.Sum(nil))
	return c, nil
}

// cut takes a run out of pieces.
func cut(pieces []piece, first, length int64) []piece {
	var out []piece
	for _, p := range pieces {
		if length <= 0 {
			break
		}
		if first >= p.size {
			first -= p.size
			continue
		}
		n := min(p.size-first, length)
		if p.data != nil {
			p.data = p.data[first : first+n]
		}
		p.offset, p.size = p.offset+first, n
		out = append(out, p)
		first, length = 0, length-n
	}
	return out
}

// Read returns what a reader gets, with its bytes. An object that is replaced
// while we look is looked for again, since its former bytes may be gone.
func (s *Service) Read(ctx context.Context, p Place, allow Allow) (Content, io.ReadSeekCloser, error) {
	for try := 1; ; try++ {
		c, err := s.Content(ctx, p, allow)
		if err != nil {
			return Content{}, nil, err
		}
		bytes, err := s.open(ctx, c)
		if err == nil {
			return c, bytes, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || try == readTries {
			return Content{}, nil, fmt.Errorf("open object %s/%s/%s: %w", p.Account, p.Container, p.Object, err)
		}
	}
}

// open opens the first blob at once, so that it stays for this reader.
func (s *Service) open(ctx context.Context, c Content) (io.ReadSeekCloser, error) {
	if len(c.pieces) == 1 && c.pieces[0].data == nil && c.pieces[0].offset == 0 && c.pieces[0].size == c.pieces[0].chunk.Size {
		return s.blobs.Open(ctx, c.pieces[0].chunk.Blob)
	}
	r := &joined{ctx: ctx, blobs: s.blobs, pieces: c.pieces, current: -1}
	for _, p := range c.pieces {
		r.ends = append(r.ends, r.size+p.size)
		r.size += p.size
	}
	if len(r.pieces) == 0 {
		return r, nil
	}
	return r, r.use(0)
}

// joined reads pieces one behind the other.
type joined struct {
	ctx     context.Context
	blobs   blob.Store
	pieces  []piece
	ends    []int64 // where each piece ends
	size    int64
	at      int64
	current int // piece that is open, -1 for none
	open    blob.Reader
}

func (j *joined) use(i int) error {
	if i == j.current {
		return nil
	}
	err := j.Close()
	if err != nil {
		return err
	}
	if j.pieces[i].data == nil {
		j.open, err = j.blobs.Open(j.ctx, j.pieces[i].chunk.Blob)
		if err != nil {
			return err
		}
	}
	j.current = i
	return nil
}

// Read implements io.Reader.
func (j *joined) Read(b []byte) (int, error) {
	i := sort.Search(len(j.ends), func(i int) bool { return j.ends[i] > j.at })
	if i == len(j.ends) {
		return 0, io.EOF
	}
	err := j.use(i)
	if err != nil {
		return 0, err
	}
	p := j.pieces[i]
	from := j.at - (j.ends[i] - p.size)
	b = b[:min(int64(len(b)), p.size-from)]
	var n int
	if p.data != nil {
		n = copy(b, p.data[from:])
	} else {
		n, err = j.open.ReadAt(b, p.offset+from)
	}
	j.at += int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
		if n == 0 {
			err = io.ErrUnexpectedEOF // a blob is shorter than it was
		}
	}
	return n, err
}

// Seek implements io.Seeker.
func (j *joined) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += j.at
	case io.SeekEnd:
		offset += j.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	j.at = offset
	return offset, nil
}

// Close implements io.Closer.
func (j *joined) Close() error {
	j.current = -1
	if j.open == nil {
		return nil
	}
	err := j.open.Close()
	j.open = nil
	return err
}

// Own opens the bytes that an object has itself, whatever it stands for.
func (s *Service) Own(ctx context.Context, o Object) (Content, io.ReadSeekCloser, error) {
	o.Manifest.V = Manifest{}
	c, err := (&resolver{store: s}).resolve(ctx, o, 0)
	if err != nil {
		return Content{}, nil, err
	}
	bytes, err := s.open(ctx, c)
	return c, bytes, err
}
