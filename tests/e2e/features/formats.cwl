# Formats of inputs are checked against an ontology; outputs get theirs, also from an expression.
cwlVersion: v1.2
class: CommandLineTool
$namespaces: {f: 'http://example.org/formats#'}
$schemas: [data/formats.ttl]
requirements: {InlineJavascriptRequirement: {}}
baseCommand: [cp]
inputs:
  given: {type: File, format: f:text, inputBinding: {position: 1}}
  same: {type: 'File?', format: [f:text, f:other]}
arguments: [{position: 2, valueFrom: copy.txt}]
outputs:
  copy: {type: File, format: f:plain, outputBinding: {glob: copy.txt}}
  like: {type: File, format: $(inputs.given.format), outputBinding: {glob: copy.txt}}
