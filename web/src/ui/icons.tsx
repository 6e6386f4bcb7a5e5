// Icons stand beside words and never replace them: whoever listens to the page
// hears the words only.
import {
  CheckCircleFilled as CheckCircleFilledShape,
  CheckOutlined as CheckOutlinedShape,
  CloseCircleFilled as CloseCircleFilledShape,
  CloudOutlined as CloudOutlinedShape,
  ClusterOutlined as ClusterOutlinedShape,
  CompassOutlined as CompassOutlinedShape,
  CopyOutlined as CopyOutlinedShape,
  DashboardOutlined as DashboardOutlinedShape,
  DesktopOutlined as DesktopOutlinedShape,
  DownOutlined as DownOutlinedShape,
  DownloadOutlined as DownloadOutlinedShape,
  EllipsisOutlined as EllipsisOutlinedShape,
  ExclamationCircleFilled as ExclamationCircleFilledShape,
  ExportOutlined as ExportOutlinedShape,
  FileImageOutlined as FileImageOutlinedShape,
  FolderOutlined as FolderOutlinedShape,
  FullscreenOutlined as FullscreenOutlinedShape,
  GlobalOutlined as GlobalOutlinedShape,
  HddOutlined as HddOutlinedShape,
  HistoryOutlined as HistoryOutlinedShape,
  LoadingOutlined as LoadingOutlinedShape,
  LogoutOutlined as LogoutOutlinedShape,
  PlusOutlined as PlusOutlinedShape,
  PoweroffOutlined as PoweroffOutlinedShape,
  SearchOutlined as SearchOutlinedShape,
  UserOutlined as UserOutlinedShape,
} from '@ant-design/icons';
import type { ComponentProps, ComponentType } from 'react';

type Props = ComponentProps<typeof CheckCircleFilledShape>;

const silent = (Shape: ComponentType<Props>) =>
  function Icon(props: Props) {
    return <Shape role="presentation" aria-label={undefined} aria-hidden="true" {...props} />;
  };

export const CheckCircleFilled = silent(CheckCircleFilledShape);
export const CheckOutlined = silent(CheckOutlinedShape);
export const CloseCircleFilled = silent(CloseCircleFilledShape);
export const CloudOutlined = silent(CloudOutlinedShape);
export const ClusterOutlined = silent(ClusterOutlinedShape);
export const CompassOutlined = silent(CompassOutlinedShape);
export const CopyOutlined = silent(CopyOutlinedShape);
export const DashboardOutlined = silent(DashboardOutlinedShape);
export const DesktopOutlined = silent(DesktopOutlinedShape);
export const DownOutlined = silent(DownOutlinedShape);
export const DownloadOutlined = silent(DownloadOutlinedShape);
export const EllipsisOutlined = silent(EllipsisOutlinedShape);
export const ExclamationCircleFilled = silent(ExclamationCircleFilledShape);
export const ExportOutlined = silent(ExportOutlinedShape);
export const FileImageOutlined = silent(FileImageOutlinedShape);
export const FolderOutlined = silent(FolderOutlinedShape);
export const FullscreenOutlined = silent(FullscreenOutlinedShape);
export const GlobalOutlined = silent(GlobalOutlinedShape);
export const HddOutlined = silent(HddOutlinedShape);
export const HistoryOutlined = silent(HistoryOutlinedShape);
export const LoadingOutlined = silent(LoadingOutlinedShape);
export const LogoutOutlined = silent(LogoutOutlinedShape);
export const PlusOutlined = silent(PlusOutlinedShape);
export const PoweroffOutlined = silent(PoweroffOutlinedShape);
export const SearchOutlined = silent(SearchOutlinedShape);
export const UserOutlined = silent(UserOutlinedShape);
