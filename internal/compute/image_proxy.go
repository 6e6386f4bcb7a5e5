package compute

import (
	"context"
	"time"

	"nacre/internal/auth"
)

// ImageDetails is an image as the deprecated calls show it.
type ImageDetails struct {
	Image
	Project   string
	FileBytes int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// ImageProxy is what the deprecated calls about images need from the image
// service.
type ImageProxy interface {
	// Images lists what the caller sees, newest first.
	Images(ctx context.Context, caller auth.Caller) ([]ImageDetails, error)
	ImageDetails(ctx context.Context, caller auth.Caller, id string) (ImageDetails, error)
	// SetImageProperties adds properties, sets them to exactly these, or removes one.
	SetImageProperties(ctx context.Context, id string, set map[string]string, remove []string) error
	DeleteImage(ctx context.Context, id string) error
}

// Images is the image service as the deprecated calls pass it on.
func (s *Service) Images() ImageProxy { return s.imageProxy }
