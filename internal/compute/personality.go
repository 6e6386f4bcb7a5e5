package compute

import (
	"context"
	"fmt"

	"nacre/internal/auth"
	"nacre/internal/db"
	"nacre/internal/errs"
	"nacre/internal/quota"
)

// File is one that a server was given for its guest: its personality. The guest
// finds it beside its other data, and puts it where it belongs.
type File struct {
	Path    string `json:"path"`
	Content []byte `json:"content"`
}

// checkFiles holds the files of one server to the quotas.
func (s *Service) checkFiles(ctx context.Context, caller auth.Caller, files []File) error {
	if len(files) == 0 {
		return nil
	}
	var limits map[string]int64
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		limits, err = limitsFor(ctx, tx, caller.Project, caller.User, quota.InjectedFile, quota.InjectedFilePath, quota.InjectedFileBytes)
		return err
	})
	if err != nil {
		return fmt.Errorf("read quotas of files: %w", err)
	}
	beyond := func(name string, n int) bool { return limits[name] >= 0 && int64(n) > limits[name] }
	if beyond(quota.InjectedFile, len(files)) {
		return errs.Forbiddenf("Personality file limit exceeded: at most %d are allowed.", limits[quota.InjectedFile])
	}
	for _, f := range files {
		if beyond(quota.InjectedFilePath, len(f.Path)) {
			return errs.Forbiddenf("Personality file path exceeds maximum %d", limits[quota.InjectedFilePath])
		}
		if beyond(quota.InjectedFileBytes, len(f.Content)) {
			return errs.Forbiddenf("Personality file content exceeds maximum %d", limits[quota.InjectedFileBytes])
		}
	}
	return nil
}

type fileData struct {
	Content string `json:"content_path"`
	Path    string `json:"path"`
}

// fileName is what a server's i-th file is called among the guest's data.
func fileName(i int) string { return fmt.Sprintf("%04d", i) }

func (d instanceData) fileList() (list []fileData) {
	for i, f := range d.secrets.Files.V {
		list = append(list, fileData{"/content/" + fileName(i), f.Path})
	}
	return list
}

// content are the files themselves, by what they are called.
func (d instanceData) content() map[string][]byte {
	out := map[string][]byte{}
	for i, f := range d.secrets.Files.V {
		out[fileName(i)] = f.Content
	}
	return out
}
