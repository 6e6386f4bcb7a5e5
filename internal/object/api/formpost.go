package api

import (
	"errors"
	"fmt"
	"html"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"nacre/internal/api"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/object"
)

// Limits of a form besides its files.
const (
	maxFormFields = 1000
	maxFormField  = 64 << 10
)

// form is a form that is being read.
type postForm struct {
	entry
	fields  map[string]string
	checked bool // the signature was
	maxSize int64
	left    int // files that may still come
	files   int
}

// formPost stores the files of a browser's form, which an owner has signed. All
// fields come before the files.
func (h handlers) formPost(c *api.Call) (any, error) {
	parts, err := c.Request().MultipartReader()
	if err != nil {
		return nil, sentence(errs.BadRequest, "invalid starting boundary")
	}
	f := postForm{entry: entry{c: c, h: h}, fields: map[string]string{}}
	f.Place, err = at(c)
	if err == nil {
		err = checkNames(f.Place)
	}
	if err != nil {
		return nil, err
	}
	box, err := h.store.Container(c.Context(), f.Account, f.Container)
	if err == nil {
		f.box = &box
	}
	if err != nil && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, sentence(errs.BadRequest, "The form could not be read.")
		}
		err = f.take(part)
		if err != nil {
			return f.answer(err)
		}
	}
	if !f.checked {
		err = f.check()
		if err != nil {
			return f.answer(err)
		}
	}
	if f.files == 0 {
		return f.answer(sentence(errs.BadRequest, "no files to process"))
	}
	return f.answer(nil)
}

// take reads one field or stores one file.
func (f *postForm) take(part *multipart.Part) error {
	if part.FileName() == "" && !strings.Contains(part.Header.Get("Content-Disposition"), "filename=") {
		value, err := io.ReadAll(io.LimitReader(part, maxFormField))
		if err != nil || len(f.fields) >= maxFormFields {
			return sentence(errs.BadRequest, "The form could not be read.")
		}
		f.fields[strings.ToLower(part.FormName())] = string(value)
		return nil
	}
	if !f.checked {
		err := f.check()
		if err != nil {
			return err
		}
	}
	if part.FileName() == "" {
		return nil // no file was chosen
	}
	f.left--
	if f.left < 0 {
		return sentence(errs.BadRequest, "max_file_count exceeded")
	}
	return f.store(part)
}

// check holds the fields against the signature.
func (f *postForm) check() error {
	numbers := map[string]int64{}
	for _, name := range []string{"max_file_size", "max_file_count", "expires"} {
		n, err := strconv.ParseInt(f.fields[name], 10, 64)
		if err != nil {
			return sentence(errs.BadRequest, "%s not an integer", name)
		}
		numbers[name] = n
	}
	if numbers["expires"] < f.c.Now().Unix() {
		return f.unauthorized("Form Expired")
	}
	path := "/v1/" + f.Account + "/" + f.Container
	if f.c.PathValue("object") != "" || strings.HasSuffix(f.c.Request().URL.Path, "/") {
		path += "/" + f.Object
	}
	keys, err := f.keys()
	if err != nil {
		return err
	}
	message := strings.Join([]string{path, f.fields["redirect"], f.fields["max_file_size"], f.fields["max_file_count"], f.fields["expires"]}, "\n")
	key, ok := signedBy(keys, f.fields["signature"], message)
	if !ok {
		return f.unauthorized("Invalid Signature")
	}
	if f.box == nil {
		return errs.NotFoundf("The resource could not be found.")
	}
	f.opens(key)
	f.c.Grant("form signature")
	f.checked, f.maxSize, f.left = true, numbers["max_file_size"], int(min(numbers["max_file_count"], 1<<20))
	return nil
}

func (f *postForm) unauthorized(text string) error {
	return errs.New(errs.Unauthorized, "FormPost: %s", text).Typed("text").With("WWW-Authenticate", `Swift realm="unknown"`)
}

func (f *postForm) store(part *multipart.Part) error {
	name := fileName(part)
	o := object.Object{Account: f.Account, Container: f.Container, Name: f.Object + name, ContentType: part.Header.Get("Content-Type"), Meta: db.Of(object.Meta{})}
	if o.ContentType == "" {
		o.ContentType = guess(name)
	}
	if encoding := part.Header.Get("Content-Encoding"); encoding != "" {
		o.Headers = db.Of(map[string]string{"Content-Encoding": encoding})
	}
	if !legible(o.Name) || !legible(o.ContentType) {
		return sentence(errs.Precondition, "Invalid UTF8 or contains NULL")
	}
	err := checkNames(object.Place{Account: o.Account, Container: o.Container, Object: o.Name})
	if err != nil {
		return err
	}
	for _, field := range []string{"x_delete_after", "x_delete_at"} {
		if f.fields[field] == "" {
			continue
		}
		n, err := strconv.ParseInt(f.fields[field], 10, 40)
		if err != nil {
			return sentence(errs.BadRequest, "%s not an integer", field)
		}
		if field == "x_delete_after" {
			n += f.c.Now().Unix()
		}
		if time.Unix(n, 0).Before(f.c.Now()) {
			return sentence(errs.BadRequest, "%s in past", field)
		}
		o.DeleteAt = n
	}
	_, err = f.h.store.Put(f.c.Context(), o, nil, &capped{part, f.maxSize})
	if err == nil {
		f.files++
	}
	return err
}

// fileName is the name as it was sent, with its folders, which the library
// leaves out.
func fileName(part *multipart.Part) string {
	_, rest, found := strings.Cut(part.Header.Get("Content-Disposition"), `filename="`)
	if !found {
		return part.FileName()
	}
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

// capped refuses more bytes than a form allows.
type capped struct {
	r    io.Reader
	left int64
}

// Read implements io.Reader.
func (c *capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.left -= int64(n)
	if c.left < 0 {
		return 0, sentence(errs.TooLarge, "max_file_size exceeded")
	}
	return n, err
}

// answer tells the browser what came of the form: by a redirect when the form
// has one, since people shall not see our pages.
func (f *postForm) answer(err error) (any, error) {
	status, message := http.StatusCreated, ""
	if err != nil {
		e, ok := errs.As(err)
		if !ok {
			return nil, err
		}
		status, message = int(e.Kind), e.Message
	}
	target := f.fields["redirect"]
	if target == "" || !f.checked {
		if err != nil {
			return nil, err
		}
		return api.Reply{Status: status, ContentType: "text/html; charset=UTF-8",
			Body: []byte("<h1>201 Created</h1>FormPost: 201 Created")}, nil
	}
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	target += fmt.Sprintf("%sstatus=%d&message=%s", separator, status, url.QueryEscape(message))
	f.c.SetHeader("Location", target)
	return api.Reply{Status: http.StatusSeeOther, ContentType: "text/html; charset=UTF-8",
		Body: []byte(`<html><body><p><a href="` + html.EscapeString(target) + `">Click to continue...</a></p></body></html>`)}, nil
}
