// Reads what the charm writes as Velero's server and its plugins do, so that the charm's tests can compare.
//
// Each line of the standard input is a JSON object {"reader": NAME, "text": TEXT}, and each is answered by one with what was
// read in "values", or with the reason why nothing was in "error". The argument is a folder for the files.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/distribution/reference"
	"github.com/joho/godotenv"
	cron "github.com/netresearch/go-cron"
	oldercron "github.com/robfig/cron/v3"
	"github.com/spf13/pflag"
	velero "github.com/vmware-tanzu/velero/pkg/apis/velero/v1"
	"github.com/vmware-tanzu/velero/pkg/cmd/util/flag"
	"github.com/vmware-tanzu/velero/pkg/util/dotenv"
	"golang.org/x/net/http/httpproxy"
	yaml2 "gopkg.in/yaml.v2"
	yaml3 "gopkg.in/yaml.v3"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type question struct {
	Reader string `json:"reader"`
	Text   string `json:"text"`
}

type answer struct {
	Values map[string]string `json:"values,omitempty"`
	Error  string            `json:"error,omitempty"`
}

// What the plugin for S3 makes of a credentials file, and Velero's server for the files of volumes.
func aws(path string) (map[string]string, error) {
	files := []string{path}
	loaded, err := config.LoadDefaultConfig(context.Background(), config.WithSharedConfigProfile(""),
		config.WithSharedCredentialsFiles(files), config.WithSharedConfigFiles(files))
	if err != nil {
		return nil, err
	}
	credentials, err := loaded.Credentials.Retrieve(context.Background())
	if err != nil {
		return nil, err
	}
	return map[string]string{"access-key": credentials.AccessKeyID, "secret-key": credentials.SecretAccessKey}, nil
}

// What Velero's server makes of a credentials file for Azure, and older plugins by a parser of their own: both have to agree.
func azure(path string) (map[string]string, error) {
	values, err := dotenv.Read(path)
	if err != nil {
		return nil, err
	}
	older, err := godotenv.Read(path)
	if err != nil {
		return nil, err
	}
	if !maps.Equal(values, older) {
		return nil, fmt.Errorf("readers disagree: %q and %q", values, older)
	}
	return values, nil
}

// What the plugin for S3 makes of an endpoint, and Velero's server for the files of volumes.
func endpoint(text string) (map[string]string, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	return map[string]string{"scheme": parsed.Scheme, "host": parsed.Host, "path": parsed.Path}, nil
}

// What Velero's server makes of a cron expression: when it comes next, and whether within the time for which the server looks ahead. Older
// servers of the same minor release have another parser: both have to read it.
func schedule(text string) (map[string]string, error) {
	parsed, err := cron.ParseStandard(text)
	if err != nil {
		return nil, err
	}
	older, err := oldercron.ParseStandard(text)
	if err != nil {
		return nil, err
	}
	now := time.Date(2026, time.January, 31, 10, 20, 30, 0, time.UTC)
	next := parsed.Next(now)
	comes := !next.IsZero() && !older.Next(now).IsZero()
	return map[string]string{"comes": strconv.FormatBool(comes), "next": next.UTC().Format(time.RFC3339)}, nil
}

// What Go makes of a duration.
func duration(text string) (map[string]string, error) {
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return nil, err
	}
	return map[string]string{"nanoseconds": strconv.FormatInt(int64(parsed), 10)}, nil
}

// What Kubernetes makes of a quantity, as a number without a suffix.
func quantity(text string) (map[string]string, error) {
	parsed, err := resource.ParseQuantity(text)
	if err != nil {
		return nil, err
	}
	return map[string]string{"amount": parsed.AsDec().String()}, nil
}

// Decodes an object of Velero's. Fields that it does not know are an error here.
func decode(text string, object any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(object)
}

// What Velero's server makes of an object of the kind Schedule.
func object(text string) (map[string]string, error) {
	var decoded velero.Schedule
	if err := decode(text, &decoded); err != nil {
		return nil, err
	}
	if _, err := metav1.LabelSelectorAsSelector(decoded.Spec.Template.LabelSelector); err != nil {
		return nil, err
	}
	return map[string]string{"ttl": strconv.FormatInt(int64(decoded.Spec.Template.TTL.Duration), 10)}, nil
}

// What Velero's server makes of an object of the kind Restore.
func restore(text string) (map[string]string, error) {
	var decoded velero.Restore
	if err := decode(text, &decoded); err != nil {
		return nil, err
	}
	selectors := decoded.Spec.OrLabelSelectors
	if decoded.Spec.LabelSelector != nil {
		selectors = append(selectors, decoded.Spec.LabelSelector)
	}
	for _, selector := range selectors {
		if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
			return nil, err
		}
	}
	return map[string]string{"backup": decoded.Spec.BackupName}, nil
}

// What the CLI makes of a flag that is a map.
func mapFlag(text string) (map[string]string, error) {
	read := flag.NewMap()
	if err := read.Set(text); err != nil {
		return nil, err
	}
	return read.Data(), nil
}

// A flag of a command, as its help prints it.
type declared struct {
	Name, Short string
	TakesValue  bool
}

// Which flags the CLI's library finds in words, each with its last value. Values are not checked.
func flags(text string) (map[string]string, error) {
	var asked struct {
		Flags []declared
		Words []string
	}
	if err := json.Unmarshal([]byte(text), &asked); err != nil {
		return nil, err
	}
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, flag := range asked.Flags {
		set.StringP(flag.Name, flag.Short, "", "")
		if !flag.TakesValue {
			set.Lookup(flag.Name).NoOptDefVal = "true"
		}
	}
	if err := set.Parse(asked.Words); err != nil {
		return nil, err
	}
	found := map[string]string{}
	set.Visit(func(flag *pflag.Flag) { found[flag.Name] = flag.Value.String() })
	return found, nil
}

// How many certificates a program in Go finds in a text, and a hash of all that is in them.
func certificates(text string) (map[string]string, error) {
	hash, count := sha256.New(), 0
	for rest := []byte(text); ; count++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" || len(block.Headers) != 0 {
			return nil, fmt.Errorf("a block of the type %q with %d headers", block.Type, len(block.Headers))
		}
		hash.Write(block.Bytes)
	}
	return map[string]string{"count": strconv.Itoa(count), "hash": hex.EncodeToString(hash.Sum(nil))}, nil
}

// What Go makes of a path.
func cleaned(text string) (map[string]string, error) {
	return map[string]string{"path": path.Clean(text), "absolute": strconv.FormatBool(path.IsAbs(text))}, nil
}

// What kubelet and containerd make of an image's name.
func image(text string) (map[string]string, error) {
	named, err := reference.ParseDockerRef(text)
	if err != nil {
		return nil, err
	}
	values := map[string]string{"name": named.Name()}
	if tagged, ok := named.(reference.Tagged); ok {
		values["tag"] = tagged.Tag()
	}
	return values, nil
}

// What Juju's hook tools make of a file of keys and values, by the YAML readers that its versions have.
func yaml(text string) (map[string]string, error) {
	var values, older map[string]string
	if err := yaml3.Unmarshal([]byte(text), &values); err != nil {
		return nil, err
	}
	if err := yaml2.Unmarshal([]byte(text), &older); err != nil {
		return nil, err
	}
	if !maps.Equal(values, older) {
		return nil, fmt.Errorf("readers disagree: %q and %q", values, older)
	}
	return values, nil
}

// By which proxy a program in Go reaches a URL, and what it tells the proxy of itself, as net/http does.
func proxy(text string) (map[string]string, error) {
	var asked struct{ No, Proxy, URL string }
	if err := json.Unmarshal([]byte(text), &asked); err != nil {
		return nil, err
	}
	destination, err := url.Parse(asked.URL)
	if err != nil {
		return nil, err
	}
	config := httpproxy.Config{HTTPProxy: asked.Proxy, HTTPSProxy: asked.Proxy, NoProxy: asked.No}
	found, err := config.ProxyFunc()(destination)
	if err != nil || found == nil {
		return map[string]string{"proxy": ""}, err
	}
	values := map[string]string{"proxy": found.Redacted(), "host": found.Host}
	if found.User != nil {
		password, _ := found.User.Password()
		login := base64.StdEncoding.EncodeToString([]byte(found.User.Username() + ":" + password))
		values["authorization"] = "Basic " + login
	}
	return values, nil
}

// A reader may panic, which is an answer, too.
func read(folder string, asked question) (values map[string]string, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			values, err = nil, fmt.Errorf("panic: %v", panicked)
		}
	}()
	switch asked.Reader {
	case "endpoint":
		return endpoint(asked.Text)
	case "cron":
		return schedule(asked.Text)
	case "duration":
		return duration(asked.Text)
	case "quantity":
		return quantity(asked.Text)
	case "schedule":
		return object(asked.Text)
	case "restore":
		return restore(asked.Text)
	case "map":
		return mapFlag(asked.Text)
	case "flags":
		return flags(asked.Text)
	case "certificates":
		return certificates(asked.Text)
	case "path":
		return cleaned(asked.Text)
	case "image":
		return image(asked.Text)
	case "yaml":
		return yaml(asked.Text)
	case "proxy":
		return proxy(asked.Text)
	}
	file := filepath.Join(folder, "credentials")
	if err := os.WriteFile(file, []byte(asked.Text), 0o600); err != nil {
		return nil, err
	}
	switch asked.Reader {
	case "aws":
		return aws(file)
	case "azure":
		return azure(file)
	}
	return nil, fmt.Errorf("no reader %q", asked.Reader)
}

func main() {
	// Nothing but the file is to be found.
	os.Clearenv()
	os.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	questions, answers := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var asked question
		if err := questions.Decode(&asked); err != nil {
			return
		}
		values, err := read(os.Args[1], asked)
		told := answer{Values: values}
		if err != nil {
			told.Error = err.Error()
		}
		if err := answers.Encode(told); err != nil {
			return
		}
	}
}
