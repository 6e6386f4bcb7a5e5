package s3

import (
	"bufio"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"strconv"
	"strings"

	"nacre/internal/errs"
)

// checksums are the digests that a client may send of its body.
var checksums = map[string]func() hash.Hash{
	"crc32":     func() hash.Hash { return crc32.NewIEEE() },
	"crc32c":    func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
	"crc64nvme": func() hash.Hash { return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) },
	"sha1":      sha1.New,
	"sha256":    sha256.New,
}

// guard puts a stream in place of the body that fails when the body is not what
// was signed, or has not the checksum that came with it.
func (s signature) guard(r *http.Request, secret string) error {
	b := &body{close: r.Body, sums: map[string]hash.Hash{}, want: map[string]string{}}
	b.bytes = r.Body
	if sent := r.Header.Get("Content-Md5"); sent != "" {
		sum, err := base64.StdEncoding.DecodeString(sent)
		if err != nil || len(sum) != md5.Size {
			return fault(errs.BadRequest, "InvalidDigest", "The Content-MD5 you specified was invalid.")
		}
		b.sums["content-md5"], b.want["content-md5"] = md5.New(), sent
	}
	for name, make := range checksums {
		header := "x-amz-checksum-" + name
		if sent := r.Header.Get(header); sent != "" {
			b.sums[header], b.want[header] = make(), sent
		}
	}
	trailer := strings.ToLower(strings.TrimSpace(r.Header.Get("X-Amz-Trailer")))
	if trailer != "" {
		make, known := checksums[strings.TrimPrefix(trailer, "x-amz-checksum-")]
		if !known {
			return fault(errs.BadRequest, "InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
		}
		b.sums[trailer] = make()
	}
	switch {
	case s.payload == unsigned:
	case strings.HasPrefix(s.payload, "STREAMING-"):
		chunks := &chunked{r: bufio.NewReaderSize(r.Body, 64<<10), trailer: trailer, want: b.want}
		switch s.payload {
		case "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
		case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
			chunks.key, chunks.last = key4(secret, s.scope), s.sum
			chunks.prefix = s.date.Format(amzDate) + "\n" + strings.Join(s.scope, "/") + "\n"
			chunks.sum = sha256.New()
		default:
			return fault(errs.NotImplemented, "NotImplemented", "%s is not implemented.", s.payload)
		}
		decoded, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 63)
		if err != nil {
			return fault(http.StatusLengthRequired, "MissingContentLength", "You must provide the x-amz-decoded-content-length HTTP header.")
		}
		chunks.left = decoded
		r.ContentLength = decoded
		b.bytes = chunks
	default:
		sum, err := hex.DecodeString(s.payload)
		if err != nil || len(sum) != sha256.Size {
			return fault(errs.BadRequest, "InvalidArgument", "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-… or a valid sha256 value.")
		}
		b.sums["x-amz-content-sha256"], b.want["x-amz-content-sha256"] = sha256.New(), base64.StdEncoding.EncodeToString(sum)
	}
	if r.Body != nil {
		r.Body = b
	}
	return nil
}

// body checks a stream while it is read. What is wrong shows at its end.
type body struct {
	bytes io.Reader
	close io.Closer
	sums  map[string]hash.Hash
	want  map[string]string // base64; a trailer's is known at the end
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.bytes.Read(p)
	for _, sum := range b.sums {
		sum.Write(p[:n])
	}
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	for name, sum := range b.sums {
		if base64.StdEncoding.EncodeToString(sum.Sum(nil)) == b.want[name] {
			continue
		}
		switch name {
		case "x-amz-content-sha256":
			return n, fault(errs.BadRequest, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.")
		case "content-md5":
			return n, fault(errs.BadRequest, "BadDigest", "The Content-MD5 you specified did not match what we received.")
		}
		return n, fault(errs.BadRequest, "BadDigest", "The %s you specified did not match the calculated checksum.", strings.TrimPrefix(name, "x-amz-checksum-"))
	}
	return n, io.EOF
}

// Close implements io.Closer.
func (b *body) Close() error { return b.close.Close() }

// chunked reads a body that comes in chunks, each with a signature that builds
// on that of the one before.
type chunked struct {
	r       *bufio.Reader
	left    int64 // of the body
	inChunk int64 // of the chunk that is being read
	began   bool
	done    bool

	key    []byte // nil when chunks are not signed
	prefix string // date and scope
	last   string // signature before this one
	claim  string // signature of the chunk that is being read
	sum    hash.Hash

	trailer string
	want    map[string]string
}

func errChunk() error {
	return fault(errs.BadRequest, "IncompleteBody", "The request body terminated unexpectedly, or its chunks are malformed.")
}

// Read implements io.Reader.
func (c *chunked) Read(p []byte) (int, error) {
	if c.done {
		return 0, io.EOF
	}
	if c.inChunk == 0 {
		err := c.next()
		if err != nil {
			return 0, err
		}
		if c.done {
			return 0, io.EOF
		}
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.inChunk)])
	c.inChunk -= int64(n)
	c.left -= int64(n)
	if c.key != nil {
		c.sum.Write(p[:n])
	}
	switch {
	case errors.Is(err, io.EOF), c.left < 0:
		return n, errChunk()
	case err != nil:
		return n, err
	case c.inChunk == 0:
		return n, c.check("AWS4-HMAC-SHA256-PAYLOAD", hex.EncodeToString(emptySum[:])+"\n")
	}
	return n, nil
}

var emptySum = sha256.Sum256(nil)

// check compares the signature of what was read.
func (c *chunked) check(kind, middle string) error {
	if c.key == nil {
		return nil
	}
	text := kind + "\n" + c.prefix + c.last + "\n" + middle + hex.EncodeToString(c.sum.Sum(nil))
	c.last = hex.EncodeToString(mac256(c.key, text))
	c.sum.Reset()
	if c.last != c.claim {
		return errSignature()
	}
	return nil
}

// next reads the head of a chunk; after the last one, what follows it.
func (c *chunked) next() error {
	if c.began {
		line, err := c.line()
		if err != nil || line != "" {
			return errChunk()
		}
	}
	c.began = true
	head, err := c.line()
	if err != nil {
		return err
	}
	size, extension, _ := strings.Cut(head, ";")
	c.claim = strings.TrimPrefix(extension, "chunk-signature=")
	c.inChunk, err = strconv.ParseInt(strings.TrimSpace(size), 16, 63)
	if err != nil || c.inChunk < 0 || c.inChunk > c.left {
		return errChunk()
	}
	if c.inChunk > 0 {
		return nil
	}
	err = c.check("AWS4-HMAC-SHA256-PAYLOAD", hex.EncodeToString(emptySum[:])+"\n")
	if err != nil {
		return err
	}
	if c.left != 0 {
		return errChunk()
	}
	c.done = true
	return c.end()
}

// end reads the trailer behind the last chunk.
func (c *chunked) end() error {
	signedTrailer := false
	for {
		line, err := c.line()
		if errors.Is(err, io.EOF) || (err == nil && line == "") {
			break
		}
		if err != nil {
			return err
		}
		name, value, _ := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case name == "x-amz-trailer-signature":
			c.claim, signedTrailer = value, true
			err = c.check("AWS4-HMAC-SHA256-TRAILER", "")
			if err != nil {
				return err
			}
		case name == c.trailer:
			c.want[name] = value
			if c.key != nil {
				c.sum.Write([]byte(name + ":" + value + "\n"))
			}
		default:
			return errChunk()
		}
	}
	if c.trailer != "" && (c.want[c.trailer] == "" || (c.key != nil && !signedTrailer)) {
		return fault(errs.BadRequest, "MalformedTrailerError", "The request contained trailing data that was not well-formed or did not conform to our published schema.")
	}
	return nil
}

// line reads a line without its end. None may be longer than the buffer.
func (c *chunked) line() (string, error) {
	text, err := c.r.ReadSlice('\n')
	if errors.Is(err, io.EOF) && len(text) == 0 {
		return "", io.EOF
	}
	if err != nil {
		return "", errChunk()
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}
