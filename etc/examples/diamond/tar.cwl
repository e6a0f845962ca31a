cwlVersion: v1.2
class: CommandLineTool

label: Pack two files into an archive
doc: |
  Makes a compressed tar archive.  tar steps into the folder of each file first, so that the members bear
  plain file names, and follows symbolic links, so that it packs staged inputs and not links to them.

requirements:
  ResourceRequirement:
    coresMin: 1
    ramMin: 64

inputs:
  first:
    doc: One file.
    type: File
  second:
    doc: Another file, with another name.
    type: File
  archive_name:
    doc: Name of the archive.
    type: string
    default: archive.tar.gz

baseCommand: [tar, --create, --gzip, --dereference]

arguments:
  - {prefix: --file, valueFrom: $(inputs.archive_name)}
  - {prefix: --directory, valueFrom: $(inputs.first.dirname)}
  - $(inputs.first.basename)
  - {prefix: --directory, valueFrom: $(inputs.second.dirname)}
  - $(inputs.second.basename)

outputs:
  archive:
    type: File
    outputBinding: {glob: $(inputs.archive_name)}
