package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// dist is what the build in web/ leaves. It holds nothing but .keep when the
// binary was built without the dashboard.
//
//go:embed all:dist
var dist embed.FS

// policy is the page's Content-Security-Policy. Styles may be inline because
// the component library writes them while the page runs; scripts may not.
const policy = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// site is the built dashboard, held in memory in the forms it is sent in.
type site map[string]asset

type asset struct {
	kind  string // media type
	etag  string
	plain []byte // nil when there is gzip
	gzip  []byte // nil when compression gains nothing
}

func embeddedSite() site {
	root, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the folder's name is a constant
	}
	s, err := readSite(root)
	if err != nil {
		panic(err) // embedded files can always be read
	}
	return s
}

// readSite reads all files but hidden ones.
func readSite(root fs.FS) (site, error) {
	s := site{}
	// Level 6: the files are compressed at every start, and the last percent
	// of size costs three times the time. A compressor takes 1 MB, and serves all.
	z, err := gzip.NewWriterLevel(nil, 6)
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		s[name] = newAsset(name, content, z)
		return nil
	})
	return s, err
}

func newAsset(name string, content []byte, z *gzip.Writer) asset {
	sum := sha256.Sum256(content)
	a := asset{
		kind:  mediaType(name),
		etag:  `"` + hex.EncodeToString(sum[:12]) + `"`,
		plain: content,
	}
	if !strings.HasPrefix(a.kind, "text/") && !strings.Contains(a.kind, "json") && !strings.Contains(a.kind, "svg") {
		return a
	}
	var small bytes.Buffer
	z.Reset(&small)
	_, err := z.Write(content)
	if err != nil {
		panic(err) // a buffer takes everything
	}
	err = z.Close()
	if err != nil {
		panic(err)
	}
	if small.Len() < len(content)*9/10 {
		a.plain, a.gzip = nil, bytes.Clone(small.Bytes())
	}
	return a
}

// unpacked is the asset for the few who take no gzip.
func (a asset) unpacked() []byte {
	if a.gzip == nil {
		return a.plain
	}
	z, err := gzip.NewReader(bytes.NewReader(a.gzip))
	if err != nil {
		panic(err) // newAsset wrote it
	}
	content, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	return content
}

// mediaType knows the few kinds that the build makes, so that the machine's
// mime tables have no say in what a browser runs.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".json", ".map":
		return "application/json"
	case ".txt":
		return "text/plain; charset=utf-8"
	}
	kind := mime.TypeByExtension(path.Ext(name))
	if kind == "" {
		return "application/octet-stream"
	}
	return kind
}

// serve answers with a file of the build. Names that are not files are places
// inside the page, which finds its way by itself: they get index.html.
func (s site) serve(w http.ResponseWriter, r *http.Request, name string) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", policy)
	// A console's address holds its token: it must not travel in a Referer.
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "This address is a page: it can only be read.", http.StatusMethodNotAllowed)
		return
	}
	index, built := s["index.html"]
	if !built {
		serveUnbuilt(w, r)
		return
	}
	a, found := s[name]
	if !found && path.Ext(name) != "" {
		http.Error(w, "The dashboard has no such file. Reload the page.", http.StatusNotFound)
		return
	}
	if !found {
		a = index
	}
	a.serve(w, r, strings.HasPrefix(name, "assets/") && found)
}

// serve sends the asset. One whose name holds its hash may be kept for ever;
// others are asked about each time, which costs a 304.
func (a asset) serve(w http.ResponseWriter, r *http.Request, hashed bool) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache")
	if hashed {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	packed, etag := a.gzip != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip"), a.etag
	if packed {
		etag = strings.TrimSuffix(a.etag, `"`) + `-gz"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", etag)
	if strings.Contains(r.Header.Get("If-None-Match"), etag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := a.gzip
	if !packed {
		body = a.unpacked()
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // the browser went away: nobody is left to be told
}

const unbuiltPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<title>Nacre: the dashboard is not in this binary</title>
<h1>The dashboard is not in this binary</h1>
<p>The cloud works; only its web pages are missing, because the binary was built without them.</p>
<p>To get them, run <code>make build</code> (it needs Node.js 20 or newer), or
<code>cd web &amp;&amp; npm ci &amp;&amp; npm run build</code> and then <code>go build ./cmd/nacre</code>,
and start the new binary.</p>
<p>Until then: <code>openstack --os-cloud nacre server list</code>.</p>
</html>
`

func serveUnbuilt(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write([]byte(unbuiltPage)) // see asset.serve
}
