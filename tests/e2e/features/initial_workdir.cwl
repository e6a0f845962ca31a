# All that InitialWorkDirRequirement can stage: texts, files, folders, writable ones, and what expressions give.
cwlVersion: v1.2
class: CommandLineTool
requirements:
  InlineJavascriptRequirement: {}
  InitialWorkDirRequirement:
    listing:
      - {entryname: text.txt, entry: "text of $(inputs.word)\n"}
      - {entryname: dump.json, entry: '$({"a": [1, inputs.word]})'}
      - {entryname: renamed.txt, entry: $(inputs.file)}
      - {entryname: changed.txt, entry: $(inputs.second), writable: true}
      - {entryname: folder, entry: $(inputs.folder), writable: true}
      - $(inputs.files)
      - {entry: '$({class: "Directory", basename: "made", listing: [inputs.third]})'}
      - '${ return [{"class": "File", "basename": "literal.txt", "contents": "literal"}]; }'
      - {entryname: sub/deeper.txt, entry: deep}
baseCommand: [sh, -c]
arguments:
  - cat text.txt dump.json renamed.txt literal.txt made/* sub/* > seen.txt && echo more >> changed.txt
    && echo more >> folder/a.txt && cp folder/inner/b.txt folder/c.txt && ls >> seen.txt
inputs:
  word: {type: string, default: w}
  file: {type: File, default: {class: File, location: data/words.txt}}
  second: {type: File, default: {class: File, location: data/lib.js}}
  third: {type: File, default: {class: File, location: data/third.txt}}
  files: {type: 'File[]', default: [{class: File, location: data/formats.ttl}, {class: File, location: person.yml}]}
  folder: {type: Directory, default: {class: Directory, location: data/folder}}
outputs:
  seen: {type: File, outputBinding: {glob: seen.txt}}
  changed: {type: File, outputBinding: {glob: changed.txt}}
  folder_made: {type: Directory, outputBinding: {glob: folder}}
  passed: {type: File, outputBinding: {glob: renamed.txt}}
