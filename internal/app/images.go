package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"nacre/internal/blob/files"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/fetch"
	"nacre/internal/identity"
	"nacre/internal/image"
	"nacre/internal/image/inspect"
)

// openImages makes the image service with its stores: the folder that objects
// are in, too, and those of the settings.
func (cloud *Cloud) openImages(blobs *files.Store) (*image.Service, error) {
	c := cloud.Config
	stores := []image.Store{fileStore("local", c.Blobs, blobs)}
	for _, text := range listed(c.ImageStores) {
		id, dir, ok := strings.Cut(text, "=")
		if !ok || !storeID.MatchString(id) || id == "local" || dir == "" {
			return nil, fmt.Errorf("setting image_stores: %q is not of the form name=folder", text)
		}
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(c.DataDir, dir)
		}
		further, err := files.New(dir)
		if err != nil {
			return nil, fmt.Errorf("setting image_stores: %w", err)
		}
		stores = append(stores, fileStore(id, dir, further))
	}
	cache, err := files.New(filepath.Join(c.DataDir, "image-cache"))
	if err != nil {
		return nil, err
	}
	fetcher, err := newFetcher(c)
	if err != nil {
		return nil, err
	}
	o := image.Options{
		DB: cloud.DB, Engine: cloud.Engine, Stores: stores, Cache: cache, Fetcher: fetcher,
		Clock: c.Clock, Log: c.Log,
		Limits: func(ctx context.Context, tx *db.Tx, project string, resources ...string) (map[string]int64, error) {
			return identity.UnifiedLimits(ctx, tx, "image", project, resources...)
		},
	}
	switch c.ImageConversion {
	case "":
	case "raw":
		o.Converter, err = newConverter()
		if err != nil {
			return nil, fmt.Errorf("setting image_conversion: %w", err)
		}
		o.WorkDir, err = workFolder(c, "image-work")
		if err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("setting image_conversion: %q is neither raw nor empty", c.ImageConversion)
	}
	return image.New(o)
}

// workFolder makes an empty folder for what is being converted: what a former
// process was at, its plan begins anew.
func workFolder(c Config, name string) (string, error) {
	dir := filepath.Join(c.DataDir, name)
	err := os.RemoveAll(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return "", fmt.Errorf("clear the folder %s of what is being converted: %w", name, err)
	}
	return dir, nil
}

var storeID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

func fileStore(id, dir string, blobs *files.Store) image.Store {
	return image.Store{ID: id, Type: "file", Blobs: blobs, Properties: map[string]any{
		"data_dir": dir, "chunk_size": files.BufferSize, "thin_provisioning": false,
	}}
}

// converter converts disks with qemu-img.
type converter struct{ tool imageTool }

// imageTool is qemu-img within limits.
type imageTool interface {
	Run(ctx context.Context, disk int64, args ...string) error
}

// formatNames are the formats that qemu-img calls otherwise.
var formatNames = map[string]string{inspect.VHD: "vpc", inspect.Ploop: "parallels"}

// Raw writes the disk that is in an image into the target. A format that has a
// backing file is told that it has none, whatever the image says.
func (r converter) Raw(ctx context.Context, source, format string, size int64, target string) error {
	name := formatName(format)
	from := map[string]any{"driver": name, "file": map[string]any{"driver": "file", "filename": source}}
	if format == inspect.QCOW2 {
		from["backing"] = nil
	}
	text, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("describe the image: %w", err)
	}
	err = r.tool.Run(ctx, size, "convert", "-q", "-O", "raw", "json:"+string(text), target)
	if err != nil && ctx.Err() == nil {
		return errs.BadRequestf("The %s image could not be converted to raw.", format).Because(err)
	}
	return err
}

// Convert writes the disk of a qcow2 image that we have made into a target of
// another format.
func (r converter) Convert(ctx context.Context, source, format string, size int64, target string) error {
	args := []string{"convert", "-q", "-f", "qcow2", "-O", formatName(format)}
	if format == inspect.VHD {
		args = append(args, "-o", "force_size=on") // else its size is rounded to cylinders
	}
	return r.tool.Run(ctx, size, append(args, source, target)...)
}

// formatName is what qemu-img calls a format.
func formatName(format string) string {
	if name, other := formatNames[format]; other {
		return name
	}
	return format
}

// newFetcher fetches what users name: from public addresses, from what this
// cloud itself serves to everybody, and from where the settings say.
func newFetcher(c Config) (*fetch.Client, error) {
	o := fetch.Options{}
	public, err := url.Parse(c.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("setting public_url: %w", err)
	}
	port := public.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[public.Scheme]
	}
	_, s3, err := net.SplitHostPort(c.s3Listen())
	if err != nil {
		return nil, fmt.Errorf("setting listen: %w", err)
	}
	o.Own = []string{net.JoinHostPort(public.Hostname(), port), net.JoinHostPort(public.Hostname(), s3)}
	if c.tls() {
		o.CAFile = filepath.Join(c.DataDir, caFile)
	}
	for _, text := range listed(c.FetchNetworks) {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("setting fetch_networks: %w", err)
		}
		o.Open = append(o.Open, network)
	}
	return fetch.New(o), nil
}

// listed splits a setting at its commas.
func listed(setting string) []string {
	var list []string
	for _, word := range strings.Split(setting, ",") {
		word = strings.TrimSpace(word)
		if word != "" {
			list = append(list, word)
		}
	}
	return list
}

// loadProtection reads who may do what with properties of images. A wrong file
// is refused at start.
func loadProtection(c Config) (*image.Protection, error) {
	if c.PropertyProtectionFile == "" {
		return nil, nil
	}
	content, err := os.ReadFile(c.PropertyProtectionFile)
	if err != nil {
		return nil, fmt.Errorf("setting property_protection_file: %w", err)
	}
	protection, err := image.ParseProtection(string(content))
	if err != nil {
		return nil, fmt.Errorf("setting property_protection_file: %s: %w", c.PropertyProtectionFile, err)
	}
	return protection, nil
}
