package api

import (
	"encoding/base64"
	"strings"

	"nacre/internal/compute"
	"nacre/internal/errs"
)

// fileRequest is one file of a server's personality.
type fileRequest struct {
	Path     string `json:"path"`
	Contents string `json:"contents" check:"pattern=base64"`
}

func personality(in []fileRequest) (files []compute.File, err error) {
	for _, f := range in {
		content, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(f.Contents), ""))
		if err != nil {
			return nil, errs.BadRequestf("Invalid input for field/attribute contents. Value: %s. It is not base64.", f.Contents)
		}
		files = append(files, compute.File{Path: f.Path, Content: content})
	}
	return files, nil
}
