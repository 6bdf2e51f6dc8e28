// Package verify answers: what is the verdict on this text at this instant
// under this trust?
package verify
