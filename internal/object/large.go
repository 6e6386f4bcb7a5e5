package object

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"nacre/internal/db"
	"nacre/internal/errs"
)

// MaxToDelete is how many objects go with the large object that they are
// segments of.
const MaxToDelete = 10000

// Wanted is a segment as a client lists it.
type Wanted struct {
	Path  string // /container/object
	Etag  string // "" for whatever it is
	Size  int64  // -1 for whatever it is
	Range string // first-last, "" for all
	Data  []byte // bytes in place of an object
}

// Problem is why a segment cannot be used.
type Problem struct{ Path, Why string }

// SplitName splits container/object, with or without a slash before it.
func SplitName(path string) (container, object string) {
	container, object, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return container, object
}

// Compose makes a static large object of segments. What is wrong with them is
// told of each; then nothing is stored.
func (s *Service) Compose(ctx context.Context, o Object, wanted []Wanted, allow Allow, condition Condition) (Object, []Problem, error) {
	var problems []Problem
	sum, want := md5.New(), o.Etag
	o.Size = 0
	r := &resolver{store: s, allow: allow} // one for all, so that together they have an end
	for _, w := range wanted {
		segment, why, err := s.segment(ctx, o.Account, w, r)
		if err != nil {
			return Object{}, nil, err
		}
		if why != "" {
			problems = append(problems, Problem{w.Path, why})
			continue
		}
		if segment.Range != "" {
			fmt.Fprintf(sum, "%s:%d-%d;", segment.Etag, segment.First, segment.First+segment.Length-1)
		} else {
			sum.Write([]byte(segment.Etag))
		}
		o.Size += segment.Length
		o.Manifest.V.Segments = append(o.Manifest.V.Segments, segment)
	}
	if len(problems) > 0 {
		return Object{}, problems, nil
	}
	o.Etag = hex.EncodeToString(sum.Sum(nil))
	if want != "" && want != o.Etag {
		return Object{}, nil, errs.New(errs.Unprocessable, "Unable to process the contained instructions")
	}
	o, err := s.Place(ctx, o, condition)
	if err != nil {
		return Object{}, nil, fmt.Errorf("put object %s/%s/%s: %w", o.Account, o.Container, o.Name, err)
	}
	return o, nil, nil
}

func (s *Service) segment(ctx context.Context, account string, w Wanted, r *resolver) (out Segment, why string, err error) {
	if w.Data != nil {
		sum := md5.Sum(w.Data)
		return Segment{Data: w.Data, Etag: hex.EncodeToString(sum[:]), Size: int64(len(w.Data)), Length: int64(len(w.Data))}, "", nil
	}
	container, name := SplitName(w.Path)
	p := Place{account, container, name, ""}
	if r.may(account, container) != nil {
		return Segment{}, "403 Forbidden", nil
	}
	found, err := s.resolve(ctx, p, r)
	switch {
	case errs.Is(err, errs.NotFound):
		return Segment{}, "404 Not Found", nil
	case errs.Is(err, errs.Conflict):
		return Segment{}, "409 Conflict", nil
	case err != nil:
		return Segment{}, "", err
	case w.Size >= 0 && w.Size != found.Size:
		return Segment{}, "Size Mismatch", nil
	case w.Etag != "" && w.Etag != found.Etag:
		return Segment{}, "Etag Mismatch", nil
	case found.Manifest.V.Prefix != "":
		return Segment{}, "Segment is a dynamic large object", nil
	}
	out = Segment{
		Container: container, Object: name, Etag: found.Etag, Size: found.Size, Range: w.Range, Length: found.Size,
		Nested: len(found.Manifest.V.Segments) > 0, ContentType: found.ContentType, LastModified: found.UpdatedAt,
	}
	if w.Range != "" {
		out.First, out.Length, err = byteRange(w.Range, found.Size)
		if err != nil {
			return Segment{}, "Unsatisfiable Range", nil
		}
	}
	if out.Length < 1 {
		return Segment{}, "Too small; each segment must be at least 1 byte.", nil
	}
	return out, "", nil
}

// ParseRange reads first-last, first- and -length.
func ParseRange(text string) (first, last int64, err error) {
	from, to, ok := strings.Cut(text, "-")
	first, last = -1, -1
	if from != "" {
		first, err = strconv.ParseInt(from, 10, 63)
	}
	if err == nil && to != "" {
		last, err = strconv.ParseInt(to, 10, 63)
	}
	if err != nil || !ok || (from == "" && to == "") || (first >= 0 && last >= 0 && last < first) {
		return 0, 0, errs.BadRequestf("%q is no range of bytes.", text)
	}
	return first, last, nil
}

func byteRange(text string, size int64) (first, length int64, err error) {
	first, last, err := ParseRange(text)
	if err != nil {
		return 0, 0, err
	}
	switch {
	case first < 0:
		first, last = max(0, size-last), size-1
	case last < 0:
		last = size - 1
	}
	last = min(last, size-1)
	if first >= size || last < first {
		return 0, 0, errs.New(errs.Range, "The range is beyond the object.")
	}
	return first, last - first + 1, nil
}

// Segments lists the objects that a static large object is made of, those of
// nested ones before the nested ones themselves.
func (s *Service) Segments(ctx context.Context, o Object) ([]Place, error) {
	var out []Place
	err := s.db.Read(ctx, func(tx *db.Tx) error { return segmentsOf(ctx, tx, o, 0, &out) })
	return out, err
}

func segmentsOf(ctx context.Context, tx *db.Tx, o Object, depth int, out *[]Place) error {
	for _, seg := range o.Manifest.V.Segments {
		if seg.Data != nil {
			continue
		}
		p := Place{o.Account, seg.Container, seg.Object, ""}
		if len(*out) >= MaxToDelete {
			return sentence(errs.Conflict, "Too many segments to delete: delete them apart.")
		}
		nested, err := latest(ctx, tx, p.Account, p.Container, p.Object)
		if err != nil {
			return err
		}
		if nested != nil && depth < MaxNesting {
			err = segmentsOf(ctx, tx, *nested, depth+1, out)
			if err != nil {
				return err
			}
		}
		*out = append(*out, p)
	}
	return nil
}
