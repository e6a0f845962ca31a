cwlVersion: v1.2
class: CommandLineTool

label: Make a movie of numbered pictures
doc: |
  Encodes graph00000.png, graph00001.png, ... as an H.264 movie.  Runs the ffmpeg of the Python package
  imageio-ffmpeg, or else the one on PATH.

requirements:
  ResourceRequirement:
    coresMin: 1
    ramMin: 512

inputs:
  script:
    doc: Finds and runs ffmpeg.
    type: File
    default: {class: File, location: ffmpeg.py}
  frames:
    doc: Folder with the pictures.
    type: Directory
  framerate:
    doc: Pictures per second.
    type: int
    default: 12
  size:
    doc: Width x height of the movie; both must be even.
    type: string
    default: 800x800
  movie_name:
    doc: Name of the movie; its ending chooses the container.
    type: string
    default: movie.mp4

baseCommand: python3

arguments:
  - $(inputs.script.path)
  - -nostdin
  - -y
  - {prefix: -f, valueFrom: image2}
  - {prefix: -framerate, valueFrom: $(inputs.framerate)}
  - {prefix: -i, valueFrom: $(inputs.frames.path)/graph%05d.png}
  - {prefix: -r, valueFrom: $(inputs.framerate)}
  - {prefix: -s, valueFrom: $(inputs.size)}
  - {prefix: -pix_fmt, valueFrom: yuv420p}
  - $(inputs.movie_name)

outputs:
  movie:
    type: File
    outputBinding: {glob: $(inputs.movie_name)}
