package api

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"

	"nacre/internal/api"
	"nacre/internal/errs"
	"nacre/internal/image"
)

func (h handlers) upload(c *api.Call) error {
	found, err := h.find(c)
	if err != nil {
		return err
	}
	_, err = octets(c)
	if err != nil {
		return err
	}
	store := c.Header("X-Image-Meta-Store")
	if store != "" {
		err = h.images.CheckStore(store)
		if err != nil {
			return err
		}
	}
	return h.images.Upload(c.Context(), found.ID, store, c.Request().Body)
}

// announced is the size that the client says the image has; -1 for none.
func announced(c *api.Call) (int64, error) {
	text := c.Header("X-Openstack-Image-Size")
	if text == "" {
		return c.Request().ContentLength, nil
	}
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errs.BadRequestf("Invalid or missing image size in request headers.")
	}
	return size, nil
}

func (h handlers) download(c *api.Call) (any, error) {
	found, err := h.find(c)
	if err != nil {
		return nil, err
	}
	if found.Status == image.Deactivated && !c.Caller.Admin() {
		return nil, errs.Forbiddenf("The requested image has been deactivated. Image data download is forbidden.")
	}
	if found.Blob == "" {
		c.SetStatus(http.StatusNoContent)
		return nil, nil
	}
	bytes, err := h.images.Open(c.Context(), found)
	if errors.Is(err, fs.ErrNotExist) {
		c.SetStatus(http.StatusNoContent)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open image %s: %w", found.ID, err)
	}
	first, last, partial, err := span(c.Header("Range"), found.Size)
	if err != nil {
		bytes.Close()
		return nil, err
	}
	c.SetHeader("Accept-Ranges", "bytes")
	c.SetHeader("X-Content-Type-Options", "nosniff")
	c.SetHeader("Content-Security-Policy", "sandbox")
	reply := api.Reply{ContentType: "application/octet-stream", Size: last - first + 1, Stream: bytes}
	c.SetHeader("Content-MD5", found.Checksum)
	if !partial {
		return reply, nil
	}
	reply.Status = http.StatusPartialContent
	reply.Stream = struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(bytes, first, reply.Size), bytes}
	c.SetHeader("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, found.Size))
	return reply, nil
}

// span reads a Range header with one range. No header is the whole.
func span(header string, size int64) (first, last int64, partial bool, err error) {
	if header == "" {
		return 0, size - 1, false, nil
	}
	if strings.Contains(header, ",") {
		return 0, 0, false, errs.BadRequestf("Requests with multiple ranges are not supported in Glance. " +
			"You may make multiple single-range requests instead.")
	}
	unit, spec, _ := strings.Cut(header, "=")
	from, to, isRange := strings.Cut(strings.TrimSpace(spec), "-")
	if strings.TrimSpace(unit) != "bytes" || !isRange {
		return 0, 0, false, noSuchRange(size, "Invalid Range header.")
	}
	first, firstOK := number(from)
	last, lastOK := number(to)
	switch {
	case from == "" && lastOK: // the last so many bytes
		first, last = max(0, size-last), size-1
	case firstOK && to == "":
		last = size - 1
	case !firstOK || !lastOK || first > last:
		return 0, 0, false, noSuchRange(size, "Invalid Range header.")
	}
	if first >= size {
		return 0, 0, false, noSuchRange(size, fmt.Sprintf("Invalid start position in Range header. "+
			"Start position MUST be in the inclusive range [0, %d].", size-1))
	}
	return first, min(last, size-1), true, nil
}

// number reads digits, and nothing but digits.
func number(text string) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	return int64(n), err == nil
}

func noSuchRange(size int64, text string) error {
	return errs.New(errs.Range, "%s", text).With("Content-Range", fmt.Sprintf("bytes */%d", size))
}
