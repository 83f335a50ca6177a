/** Addresses of files in answers: `<base>/files/<id>/<name>`. The ID alone decides; the name is for people and players. */

export function filePath(fileId: string, name: string): string {
  // A slash in a name stays a separator. A backslash, encoded or not, would be refused in a request.
  return `/files/${fileId}/${name.replaceAll("\\", "_").split("/").map(encodeURIComponent).join("/")}`;
}

export function fileUrl(baseUrl: string, fileId: string, name: string): string {
  return `${baseUrl}${filePath(fileId, name)}`;
}
